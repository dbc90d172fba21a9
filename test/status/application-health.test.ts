import { describe, expect, test } from "vitest";
import { InvalidConfig } from "../../src/foundation/errors.ts";
import type { Log } from "../../src/foundation/log.ts";
import { createApplicationHealth } from "../../src/status/application-health.ts";
import {
  type ApplicationHealth,
  atFirst,
  type HealthState,
  judge,
} from "../../src/status/application-health-machine.ts";
import { readReadinessProbe } from "../../src/status/application-health-settings.ts";
import { agentConfig } from "../fakes/agent-config.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

const nothing = () => undefined;
const silent: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing, scoped: () => silent };
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
};

describe("the verdict", () => {
  const thresholds = { success: 2, failure: 3 };
  const yes: ApplicationHealth = { healthy: true };
  const no: ApplicationHealth = { healthy: false, reason: "why" };
  const cases: readonly (readonly [HealthState, "good" | "bad", HealthState, ApplicationHealth | undefined])[] = [
    [atFirst, "good", { is: "unknown", good: 1, bad: 0 }, undefined],
    [atFirst, "bad", { is: "unknown", good: 0, bad: 1 }, undefined],
    [{ is: "unknown", good: 1, bad: 0 }, "good", { is: "healthy", bad: 0 }, yes],
    [{ is: "unknown", good: 1, bad: 0 }, "bad", { is: "unknown", good: 0, bad: 1 }, undefined],
    [{ is: "unknown", good: 0, bad: 2 }, "bad", { is: "unhealthy", good: 0 }, no],
    [{ is: "unknown", good: 0, bad: 2 }, "good", { is: "unknown", good: 1, bad: 0 }, undefined],
    [{ is: "healthy", bad: 0 }, "good", { is: "healthy", bad: 0 }, undefined],
    [{ is: "healthy", bad: 0 }, "bad", { is: "healthy", bad: 1 }, undefined],
    [{ is: "healthy", bad: 2 }, "bad", { is: "unhealthy", good: 0 }, no],
    [{ is: "healthy", bad: 2 }, "good", { is: "healthy", bad: 0 }, undefined],
    [{ is: "unhealthy", good: 0 }, "good", { is: "unhealthy", good: 1 }, undefined],
    [{ is: "unhealthy", good: 1 }, "good", { is: "healthy", bad: 0 }, yes],
    [{ is: "unhealthy", good: 1 }, "bad", { is: "unhealthy", good: 0 }, undefined],
  ];
  test.each(cases)("%j and a %s answer", (state, kind, next, tell) => {
    const step = judge(state, { because: kind === "good" ? undefined : "why" }, thresholds);
    expect(step).toEqual(tell === undefined ? { next } : { next, tell });
  });

  test("with thresholds of 1 each change is told, and no answer twice", () => {
    let state = atFirst;
    const told: string[] = [];
    for (const because of ["a", "b", undefined, undefined, "c", undefined]) {
      const step = judge(state, { because }, { success: 1, failure: 1 });
      state = step.next;
      if (step.tell !== undefined) told.push(step.tell.healthy ? "yes" : step.tell.reason);
    }
    expect(told).toEqual(["a", "yes", "c", "yes"]);
  });
});

describe("the rounds", () => {
  function rig(
    answers: (now: number) => string | undefined,
    envoy: (now: number) => string | undefined = () => undefined,
  ) {
    const clock = new FakeClock();
    const told: string[] = [];
    const asked: number[] = [];
    const check = createApplicationHealth({
      probe: {
        initialDelay: 5_000,
        timeout: 1_000,
        period: 10_000,
        success: 1,
        failure: 2,
        action: { kind: "tcp", host: "localhost", port: 1 },
      },
      clock,
      family: "v4",
      environment: new Map(),
      envoy: () => Promise.resolve(envoy(clock.monotonic())),
      tell: (health) => told.push(`${clock.monotonic()} ${health.healthy ? "yes" : health.reason}`),
      log: silent,
      onBug: (error) => {
        throw error;
      },
      ask: () => {
        asked.push(clock.monotonic());
        return Promise.resolve(answers(clock.monotonic()));
      },
    });
    const until = async (end: number) => {
      while (clock.monotonic() < end) {
        clock.advance(500);
        await settle();
      }
    };
    return { clock, told, asked, check, until };
  }

  test("after the delay, once a period, and only changes are told", async () => {
    const { clock, told, asked, check, until } = rig((now) =>
      now >= 25_000 && now < 50_000 ? "it answered 503" : undefined,
    );
    check.start();
    await settle();
    await until(70_000);
    expect(asked).toEqual([5_000, 15_000, 25_000, 35_000, 45_000, 55_000, 65_000]);
    expect(told).toEqual(["5000 yes", "35000 it answered 503", "55000 yes"]);
    expect(check.state()).toEqual({ verdict: "healthy", because: undefined });
    await check.stop();
    expect(clock.pending()).toBe(0);
  });

  test("an Envoy that does not serve counts, and the application is not asked", async () => {
    const { told, asked, check, until } = rig(
      () => undefined,
      (now) => (now < 20_000 ? "Envoy is starting" : undefined),
    );
    check.start();
    await settle();
    await until(30_000);
    expect(told).toEqual(["15000 Envoy is starting", "25000 yes"]);
    expect(asked).toEqual([25_000]);
    await check.stop();
  });

  test("the initial delay can be ended, and nothing was asked", async () => {
    const { clock, asked, told, check } = rig(() => undefined);
    check.start();
    await settle();
    expect(clock.pending()).toBe(1);
    await check.stop();
    expect([clock.pending(), asked, told]).toEqual([0, [], []]);
  });
});

describe("settings", () => {
  /** As a machine has them: from the mesh file. */
  const read = (probe: object) =>
    readReadinessProbe(agentConfig({ mesh: JSON.stringify({ defaultConfig: { readinessProbe: probe } }) }).proxy.raw);

  test("none", () => expect(readReadinessProbe(agentConfig().proxy.raw)).toBeUndefined());

  test("the peer's defaults, also for 0", () => {
    const expected = {
      initialDelay: 0,
      timeout: 1_000,
      period: 10_000,
      success: 1,
      failure: 1,
      action: { kind: "http", scheme: "http", host: "localhost", port: 80, path: "/", headers: [] },
    };
    expect(read({ httpGet: { port: 80 } })).toEqual(expected);
    const zeros = {
      periodSeconds: 0,
      timeoutSeconds: 0,
      successThreshold: 0,
      failureThreshold: 0,
      initialDelaySeconds: 0,
    };
    expect(read({ http_get: { port: "80" }, ...zeros })).toEqual(expected);
  });

  test("everything said", () => {
    const numbers = {
      initialDelaySeconds: 1,
      timeoutSeconds: 2,
      periodSeconds: 3,
      successThreshold: 4,
      failureThreshold: 5,
    };
    const httpHeaders = [{ name: "Host", value: "app" }, { name: "x-empty" }];
    const httpGet = { path: "ready?a=b c", port: 8080, host: "10.0.0.9", scheme: "HTTPS", httpHeaders };
    expect(read({ ...numbers, httpGet })).toEqual({
      initialDelay: 1_000,
      timeout: 2_000,
      period: 3_000,
      success: 4,
      failure: 5,
      action: {
        kind: "http",
        scheme: "https",
        host: "10.0.0.9",
        port: 8_080,
        path: "/ready?a=b%20c",
        headers: [
          ["Host", "app"],
          ["x-empty", ""],
        ],
      },
    });
  });

  test.each([
    [{ tcpSocket: { port: 1 } }, { kind: "tcp", host: "localhost", port: 1 }],
    [{ tcpSocket: { port: 1, host: "db" } }, { kind: "tcp", host: "db", port: 1 }],
    [{ grpc: { port: 2 } }, { kind: "grpc", host: "localhost", port: 2, service: "" }],
    [{ grpc: { port: 2, service: "a.B" } }, { kind: "grpc", host: "localhost", port: 2, service: "a.B" }],
    [{ exec: { command: ["true", ""] } }, { kind: "exec", command: ["true", ""] }],
  ])("%j", (probe, action) => expect(read(probe)?.action).toEqual(action));

  test.each([
    [{}, "ProxyConfig.readinessProbe: it has no action; give exactly one of httpGet, tcpSocket, exec, grpc"],
    [{ httpGet: { port: 1 }, exec: { command: ["x"] } }, "readinessProbe: it has httpGet and exec; give exactly one"],
    [{ exec: { command: [] } }, "readinessProbe.exec.command: it is empty"],
    [{ tcpSocket: {} }, "readinessProbe.tcpSocket.port: a number from 1 to 65535 is needed"],
    [{ httpGet: { port: 1, scheme: "FTP" } }, 'readinessProbe.httpGet.scheme: "ftp" can\'t be used'],
    [
      { httpGet: { port: 1, httpHeaders: [{ name: "a b" }] } },
      "readinessProbe.httpGet.httpHeaders[0]: it is no header",
    ],
    [{ periodSeconds: -1, tcpSocket: { port: 1 } }, "readinessProbe.periodSeconds: -1 can't be used"],
  ])("%j is refused", (probe, text) => {
    expect(() => read(probe)).toThrow(InvalidConfig);
    expect(() => read(probe)).toThrow(text);
  });
});
