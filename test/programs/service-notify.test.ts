import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { realClock } from "../../src/system/clock.ts";
import { type DatagramSocket, datagramSockets } from "../../src/system/datagram-sockets.ts";
import { type ServiceNotify, serviceNotify } from "../../src/system/service-notify.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { eventually } from "../helpers/eventually.ts";
import { temporaryFolder } from "../helpers/paths.ts";

const PID = 4_711;

describe("what systemd gets", () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let socket: DatagramSocket | undefined;
  let heard: string[] = [];
  beforeEach(() => {
    folder = temporaryFolder("notify");
    heard = [];
  });
  afterEach(() => {
    socket?.close();
    folder.done();
  });

  test.each(["path", "abstract"])("real datagrams to a socket at a %s name", async (kind) => {
    const name = kind === "path" ? join(folder.path, "notify") : `@pilotfish-notify-${process.pid}`;
    socket = datagramSockets()?.bind(name, {
      clock: realClock,
      onDatagram: ({ bytes }) => heard.push(bytes.toString("utf8")),
      onError: (error) => heard.push(String(error)),
    });
    const notify = usable(serviceNotify(new Map([["NOTIFY_SOCKET", name]]), PID));
    expect(notify.status("two\nlines \x1b[31m")).toBe("sent");
    expect([notify.ready(), notify.extend(1_500), notify.stopping()]).toEqual(["sent", "sent", "sent"]);
    await eventually("all came", () => heard.length === 4);
    expect(heard).toEqual(["STATUS=two lines [31m\n", "READY=1\n", "EXTEND_TIMEOUT_USEC=1500000\n", "STOPPING=1\n"]);
  });

  test("nobody listens: said, and nothing else happens", () => {
    const env = new Map([["NOTIFY_SOCKET", join(folder.path, "nobody")]]);
    expect(usable(serviceNotify(env, PID)).ready()).toBe("nobody");
  });
});

describe("when it is not for us", () => {
  test.each([
    [{}, undefined],
    [{ NOTIFY_SOCKET: "" }, undefined],
    [{ NOTIFY_SOCKET: "vsock:2:1234" }, 'NOTIFY_SOCKET "vsock:2:1234" is neither a path nor an abstract name'],
    [{ NOTIFY_SOCKET: `/${"x".repeat(200)}` }, `NOTIFY_SOCKET "/${"x".repeat(200)}" is too long`],
  ])("%j", (env, unusable) => {
    const notify = serviceNotify(new Map(Object.entries(env)), PID, () => "sent");
    expect(notify).toEqual(unusable === undefined ? undefined : { unusable });
  });

  test.each([
    [{ WATCHDOG_USEC: "20000000" }, 10_000],
    [{ WATCHDOG_USEC: "20000000", WATCHDOG_PID: String(PID) }, 10_000],
    [{ WATCHDOG_USEC: "20000000", WATCHDOG_PID: "1" }, undefined],
    [{ WATCHDOG_USEC: "0" }, undefined],
    [{ WATCHDOG_USEC: "soon" }, undefined],
    [{}, undefined],
  ])("the watchdog of %j pings every %s ms", (env, every) => {
    const all = new Map(Object.entries({ NOTIFY_SOCKET: "/x", ...env }));
    expect(usable(serviceNotify(all, PID, () => "sent")).pingEvery).toBe(every);
  });
});

test("the watchdog hears from us at once, twice in its time, and not when we are not alive", () => {
  const clock = new FakeClock();
  const sent: string[] = [];
  let alive = true;
  const env = new Map([
    ["NOTIFY_SOCKET", "/x"],
    ["WATCHDOG_USEC", "4000000"],
  ]);
  const send = (path: string, bytes: Uint8Array) => {
    sent.push(`${clock.monotonic()} ${path} ${Buffer.from(bytes).toString()}`);
    return "sent" as const;
  };
  const end = usable(serviceNotify(env, PID, send)).watch(clock, () => alive);
  clock.advance(4_000);
  alive = false;
  clock.advance(4_000);
  alive = true;
  clock.advance(2_000);
  end();
  expect(sent).toEqual([0, 2_000, 4_000, 10_000].map((at) => `${at} /x WATCHDOG=1\n`));
  expect(clock.pending()).toBe(0);
});

function usable(notify: ReturnType<typeof serviceNotify>): ServiceNotify {
  if (notify === undefined || "unusable" in notify) throw new Error(`not usable: ${JSON.stringify(notify)}`);
  return notify;
}
