import { readFileSync } from "node:fs";
import { alive } from "../helpers/alive.ts";
import { eventually } from "../helpers/eventually.ts";
import { preciseNow } from "../helpers/load/load.ts";
import { envoy } from "../helpers/paths.ts";
import { ask } from "../helpers/proxy.ts";
import { Binary } from "../helpers/restarts/binary.ts";
import type { MutableBootstrap } from "../helpers/restarts/bootstrap.ts";
import { longestGap, pollOf } from "../helpers/restarts/poll.ts";
import { avoidable, RestartRig, type RigOptions } from "../helpers/restarts/rig.ts";
import { rigTest } from "../helpers/restarts/rig-test.ts";

/* Swaps of the whole program under load: a second Envoy on the same ports, on probation beside the first. */

/** Between the old Envoy's end and our listening in its place: milliseconds, on an idle machine. */
const ADMIN_GAP = 1_000;
/** Of the rig's load. */
const CLIENTS = 6;
const probation = ["--probation", "3s"];

type Keep = (rig: { done(): Promise<void> }) => void;

async function started(keep: Keep, options: RigOptions = {}) {
  const binary = new Binary(envoy);
  keep(binary);
  const args = [...probation, ...(options.args ?? [])];
  const rig = await RestartRig.start({ ...options, args, env: { PILOTFISH_ENVOY: binary.path } }, keep);
  await rig.keeps();
  const load = await rig.load();
  const ready = pollOf(rig.ports.readiness, "/healthz/ready");
  const admin = pollOf(rig.ports.admin, "/server_info");
  return { binary, rig, load, ready, admin };
}

/** What an Envoy says at `--hot-restart-version`, on standard error; everything else is the real one's. */
const versioned = (version: string): string =>
  `case "$*" in *--hot-restart-version*) echo "${version}" >&2; exit 0 ;; esac\nexec ${envoy} "$@"`;

/** It validates and says its version, and ends as soon as it is to serve. */
const stillborn = `case "$*" in *--mode*|*--hot-restart-version*) exec ${envoy} "$@" ;; esac\nexit 3`;

/** Once it serves, its process id is in the file "pid". */
const noted = `case "$*" in *--mode*|*--hot-restart-version*) ;; *) echo $$ > $here/pid ;; esac\nexec ${envoy} "$@"`;

rigTest(
  "asked for: nobody notices, and the admin's port answers; then hot restarts and a kill in the new lineage",
  async ({ expect, keep }) => {
    const { rig, load, ready, admin } = await started(keep);
    const first = await rig.untilAlone();
    const merged = pollOf(rig.ports.status, "/stats/prometheus", 500);
    const answer = await rig.command("--wait", "--strategy", "swap");
    expect(answer.said).toMatch(/^swap done: epoch 0 serves, took/);
    const second = await rig.untilAlone();
    expect(second.pid).not.toBe(first.pid);
    expect(await rig.history()).toMatchObject([{ outcome: "restarted", by: "swap" }]);
    await eventually(
      "the forwarder answers",
      async () => (await ask({ port: rig.ports.admin }, "/server_info")).status === 200,
    );

    const swapped = await load.tally();
    expect(avoidable(swapped), String(swapped)).toEqual([]);
    const { bad, looks } = await admin.stop();
    expect(longestGap(bad), JSON.stringify(bad)).toBeLessThan(ADMIN_GAP);
    expect(looks).toBeGreaterThan(20);

    expect((await rig.restart()).said).toMatch(/^hot restart done: epoch 1 serves/);
    expect((await ask({ port: rig.ports.admin }, "/server_info")).body).toMatch(/"restart_epoch": 1/);
    await rig.keeps();
    const restarted = await load.tally();
    expect(avoidable(restarted), String(restarted)).toEqual([]);
    expect((await ready.stop()).bad).toEqual([]);
    expect((await merged.stop()).bad).toEqual([]);

    process.kill((await rig.untilAlone()).pid, "SIGKILL");
    await eventually("it is back", async () => (await rig.history()).length === 3);
    const alone = await rig.untilAlone();
    expect(alone.epoch).toBe(2);
    const report = await load.stop();
    expect(report.count("refused"), String(report)).toBe(0);
    expect(await rig.ends()).toEqual({ code: 0, signal: null });
  },
);

rigTest("the new binary dies on probation: the old one serves on", async ({ expect, keep }) => {
  const { binary, rig, load, ready, admin } = await started(keep, { args: ["--probation", "30s"] });
  const first = await rig.untilAlone();
  binary.becomeScript(stillborn);
  const early = await rig.command("--wait", "--strategy", "swap");
  expect(early).toMatchObject({ code: 1, said: expect.stringContaining("failed: the new Envoy ended") });
  binary.becomeScript(noted);
  const answer = rig.command("--wait", "--strategy", "swap");
  await rig.proxy.said(/on probation beside the old one/);
  const fresh = Number(readFileSync(binary.beside("pid"), "utf8"));
  const killed = Date.now();
  process.kill(fresh, "SIGKILL");
  await eventually("it is dead", () => !alive(fresh));
  const gone = preciseNow();
  expect(await answer).toMatchObject({
    code: 1,
    said: expect.stringMatching(
      /^pilotfish: cannot replace Envoy: failed: the new Envoy ended on probation \(SIGKILL\)/,
    ),
  });
  expect((await rig.untilAlone()).pid).toBe(first.pid);
  const report = await load.stop();
  // What was in flight on the one that was killed, at most one of each client, and nothing else.
  const others = report.failures().filter(({ failed, connectionAge = 0 }) => failed - connectionAge > gone);
  expect(others, String(report)).toEqual([]);
  expect(report.count("refused")).toBe(0);
  expect(report.failed).toBeLessThanOrEqual(CLIENTS);
  // A look at readiness may have been in flight there, too.
  const { bad } = await ready.stop();
  expect(bad.filter(({ at }) => at < killed || at > killed + 1_000)).toEqual([]);
  expect(bad.length).toBeLessThanOrEqual(1);
  expect((await admin.stop()).bad).toEqual([]);
  expect(await rig.ends()).toEqual({ code: 0, signal: null });
});

rigTest("another hot-restart version: a swap by itself", async ({ expect, keep }) => {
  const { binary, rig, load, ready } = await started(keep);
  binary.becomeScript(versioned("12.104"));
  const answer = await rig.restart();
  expect(answer.said).toMatch(/^swap done/);
  // The admin's port is one descriptor more: we listen there now.
  await rig.keeps();
  expect(rig.proxy.output).toMatch(/hot-restart versions differ: 11\.104 serves, the new binary has 12\.104/);
  const report = await load.stop();
  expect(avoidable(report), String(report)).toEqual([]);
  expect((await ready.stop()).bad).toEqual([]);
  expect(await rig.ends()).toEqual({ code: 0, signal: null });
});

rigTest("live without listeners on probation: rolled back", async ({ expect, keep }) => {
  const { rig, load, ready, admin } = await started(keep, { args: ["--probation", "30s"] });
  const first = await rig.untilAlone();
  rig.rewrite((bootstrap) => {
    const { static_resources } = bootstrap as MutableBootstrap;
    return { ...bootstrap, static_resources: { ...static_resources, listeners: [] } };
  });
  const answer = await rig.command("--wait", "--strategy", "swap");
  expect(answer.code).toBe(1);
  expect(answer.said).toMatch(/cannot replace Envoy: failed: it has no listeners, and the old one has/);
  expect((await rig.untilAlone()).pid).toBe(first.pid);
  const report = await load.stop();
  expect(avoidable(report), String(report)).toEqual([]);
  expect((await ready.stop()).bad).toEqual([]);
  expect((await admin.stop()).bad).toEqual([]);
  expect(await rig.ends()).toEqual({ code: 0, signal: null });
});
