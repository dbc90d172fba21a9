import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { AdminPort } from "../../src/agent/admin-port.ts";
import { noLog } from "../../src/foundation/log.ts";
import { forwardPort, type PortForwarder } from "../../src/system/port-forwarder.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { temporaryFolder } from "../helpers/paths.ts";

const folder = temporaryFolder("forwarder");
const servers: Server[] = [];
const sockets = new Set<Socket>();
let port: number;
let forwarder: PortForwarder | undefined;

afterAll(() => folder.done());
beforeEach(async () => {
  [port = 0] = await freePorts(1);
});
afterEach(async () => {
  forwarder?.close();
  forwarder = undefined;
  for (const socket of sockets) socket.destroy();
  await Promise.all(servers.splice(0).map((one) => new Promise((resolve) => one.close(resolve))));
});

/** Says its name and sends back what comes, until the caller has said all. */
function echo(name: string, at: { readonly path: string } | { readonly port: number; readonly host: string }) {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.write(`${name}:`);
    socket.pipe(socket);
  });
  servers.push(server);
  return new Promise<void>((resolve) => server.listen(at, resolve));
}

/** Everything that comes back for these words; fails when the connection is reset. */
function say(words: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1" });
    let text = "";
    socket.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    socket.once("error", reject);
    socket.once("end", () => resolve(text));
    socket.end(words);
  });
}

const hooks = (problems: Error[] = []) => ({
  retryAfter: (again: () => void) => {
    const timer = setTimeout(again, 10);
    return () => clearTimeout(timer);
  },
  onProblem: (error: Error) => problems.push(error),
});

const heard = (what: string): Promise<true | undefined> =>
  eventually(what, async () => ((await say("x")) === what ? true : undefined));

describe("a port that is passed on to a socket", () => {
  test("carries both ways, whole, also what comes after the caller's end", async () => {
    const path = join(folder.path, "a");
    await echo("a", { path });
    forwarder = forwardPort({ host: "127.0.0.1", port }, () => path, hooks());
    await heard("a:x");
    const long = "0123456789".repeat(50_000);
    expect(await say(long)).toBe(`a:${long}`);
  });
  test("asks at every connection where to", async () => {
    const [one, two] = [join(folder.path, "one"), join(folder.path, "two")];
    await echo("one", { path: one });
    await echo("two", { path: two });
    let to = one;
    forwarder = forwardPort({ host: "127.0.0.1", port }, () => to, hooks());
    await heard("one:x");
    to = two;
    expect(await say("x")).toBe("two:x");
  });
  test("waits while somebody else holds the port, and callers reach that one meanwhile", async () => {
    const path = join(folder.path, "b");
    await echo("b", { path });
    await echo("old", { port, host: "127.0.0.1" });
    const problems: Error[] = [];
    forwarder = forwardPort({ host: "127.0.0.1", port }, () => path, hooks(problems));
    expect(await say("x")).toBe("old:x");
    const old = servers.pop();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => old?.close(resolve));
    await heard("b:x");
    expect(problems).toEqual([]);
  });
  test("nobody there: the caller is let go, and the next one is served", async () => {
    let path: string | undefined = join(folder.path, "nobody");
    forwarder = forwardPort({ host: "127.0.0.1", port }, () => path, hooks());
    const let_go = () => say("x").catch(() => "reset");
    await eventually("it listens", async () => (await let_go()) !== undefined);
    expect(["", "reset"]).toContain(await let_go());
    path = undefined;
    expect(["", "reset"]).toContain(await let_go());
    path = join(folder.path, "c");
    await echo("c", { path });
    await heard("c:x");
  });
  test("closed, it lets go of the port and of everybody on it", async () => {
    const path = join(folder.path, "d");
    await echo("d", { path });
    forwarder = forwardPort({ host: "127.0.0.1", port }, () => path, hooks());
    await heard("d:x");
    const open = connect({ port, host: "127.0.0.1" });
    open.on("error", () => undefined);
    const gone = new Promise((resolve) => open.once("close", resolve));
    await new Promise((resolve) => open.once("data", resolve));
    forwarder.close();
    await gone;
    await echo("new", { port, host: "127.0.0.1" });
    expect(await say("x")).toBe("new:x");
  });
});

describe("the admin's port", () => {
  test("is ours only while the admin answers on a socket of its own", async () => {
    const path = join(folder.path, "e");
    await echo("swapped", { path });
    const clock = new FakeClock();
    const admin = new AdminPort({ host: "127.0.0.1", port }, noLog, clock);
    admin.follow({ host: "127.0.0.1", port });
    await echo("envoy", { port, host: "127.0.0.1" });
    expect(await say("x")).toBe("envoy:x");
    admin.follow({ socketPath: path });
    expect(await say("x")).toBe("envoy:x");
    const envoy = servers.pop();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => envoy?.close(resolve));
    await eventually("the port is passed on", async () => {
      clock.advance(100);
      return (await say("x")) === "swapped:x";
    });
    admin.follow({ host: "127.0.0.1", port });
    await expect(say("x")).rejects.toThrow("ECONNREFUSED");
    admin.close();
    expect(clock.pending()).toBe(0);
  });
  test("is tried at once when Envoy's state changes: the old one may have gone", async () => {
    const path = join(folder.path, "f");
    await echo("swapped", { path });
    const clock = new FakeClock();
    const admin = new AdminPort({ host: "127.0.0.1", port }, noLog, clock);
    await echo("envoy", { port, host: "127.0.0.1" });
    admin.follow({ socketPath: path });
    await eventually("it waits for the port", () => clock.pending() === 1);
    const envoy = servers.pop();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => envoy?.close(resolve));
    admin.follow({ socketPath: path });
    await heard("swapped:x");
    admin.close();
    expect(clock.pending()).toBe(0);
  });
  test("stays alone when the bootstrap has none, or has it on a socket", async () => {
    for (const usual of [undefined, { socketPath: "/nowhere" }]) {
      const admin = new AdminPort(usual, noLog, new FakeClock());
      admin.follow({ socketPath: "/run/admin" });
      await expect(say("x")).rejects.toThrow("ECONNREFUSED");
      admin.close();
    }
  });
});
