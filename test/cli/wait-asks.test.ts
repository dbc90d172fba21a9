import { writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { waitCommand } from "../../src/cli/commands/wait.ts";
import { parseArguments } from "../../src/cli/parse-arguments.ts";
import { waitForAll } from "../../src/cli/run-wait.ts";
import { askOf } from "../../src/cli/wait/ask-target.ts";
import { readWait } from "../../src/cli/wait/read-wait.ts";
import { Refused } from "../../src/foundation/errors.ts";
import { realClock } from "../../src/system/clock.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { temporaryFolder } from "../helpers/paths.ts";
import { startGrpc } from "../status/grpc-servers.ts";
import { ProbeServers, plain } from "../status/probe-servers.ts";

let folder: ReturnType<typeof temporaryFolder>;
let servers: ProbeServers;
const listeners: Server[] = [];
beforeEach(() => {
  folder = temporaryFolder("wait");
  servers = new ProbeServers(folder.path);
});
afterEach(() => {
  servers.done();
  for (const one of listeners.splice(0)) one.close();
  folder.done();
});

const planOf = (words: readonly string[]) =>
  readWait({ flags: parseArguments(words, waitCommand.options).flags, env: new Map() });

/** One question, patiently. */
async function ask(target: string, insecure = false, limit = 5_000): Promise<string> {
  const [one] = planOf(["--for", target]).targets;
  if (one === undefined) throw new Error("no target");
  const answer = await askOf(one, insecure)(limit);
  return answer.ready ? "ready" : answer.because;
}

async function listen(onSocket: (socket: Socket) => void, host = "127.0.0.1"): Promise<number> {
  const [port = 0] = await freePorts(1);
  const server = createServer((socket) => onSocket(socket.on("error", () => undefined)));
  listeners.push(server);
  await new Promise<void>((done) => server.listen(port, host, done));
  return port;
}

describe("http", () => {
  const scripts = {
    "/ok": plain("200 OK", "fine"),
    "/none": plain("204 No Content"),
    "/moved": plain("302 Found", "", "Location: /ok\r\n"),
    "/no": plain("503 Service Unavailable", "no listener\n yet\x1b[31m "),
    "/bare": plain("404 Not Found"),
    "/long": plain("500 Internal Server Error", "x".repeat(100_000)),
    "/hang": () => undefined,
  };

  test.each([
    ["/ok", "ready"],
    ["/none", "ready"],
    ["/moved", "the answer is 302"],
    ["/no", "503 no listener yet [31m"],
    ["/bare", "the answer is 404"],
  ])("%s is: %s", async (path, expected) => {
    const port = await servers.raw(scripts);
    expect(await ask(`http://localhost:${port}${path}`)).toBe(expected);
  });

  test("a long reason is cut, and no answer is one", async () => {
    const port = await servers.raw(scripts);
    expect((await ask(`http://127.0.0.1:${port}/long`)).length).toBe(304);
    expect(await ask(`http://127.0.0.1:${port}/hang`, false, 30)).toBe("no answer within 30 ms");
  });

  test("nobody there", async () => {
    const [port = 0] = await freePorts(1);
    expect(await ask(`http://localhost:${port}/`)).toBe("connection refused: nobody listens there (ECONNREFUSED)");
  });

  test("a certificate that nobody signed is a reason, or none with --insecure", async () => {
    const port = await servers.https(servers.certificate(2048));
    expect(await ask(`https://127.0.0.1:${port}/`)).toMatch(/self.signed.*; --insecure takes any certificate$/);
    expect(await ask(`https://127.0.0.1:${port}/`, true)).toBe("ready");
  });
});

describe("tcp", () => {
  const refused = "connection refused: nobody listens there (ECONNREFUSED)";

  test("a connection that lasts, a server that speaks first, nobody", async () => {
    expect(await ask(`tcp://127.0.0.1:${await listen(() => undefined)}`)).toBe("ready");
    expect(await ask(`tcp://localhost:${await listen((socket) => socket.end("220 hello\r\n"))}`)).toBe("ready");
    const [port = 0] = await freePorts(1);
    expect(await ask(`tcp://localhost:${port}`)).toBe(refused);
    expect(await ask(`tcp://[::1]:${port}`)).toBe(refused);
  });

  test.each([
    ["end", (socket: Socket) => socket.end()],
    ["reset", (socket: Socket) => socket.resetAndDestroy()],
  ])("a proxy with nobody behind it: taken, then %s", async (_, onSocket) => {
    expect(await ask(`tcp://127.0.0.1:${await listen(onSocket)}`)).toMatch(
      /^the connection is taken and closed at once/,
    );
  });

  test("localhost is IPv6 too", async () => {
    expect(await ask(`tcp://localhost:${await listen(() => undefined, "::1")}`)).toBe("ready");
  });
});

describe("others", () => {
  test("grpc: the server, a service that serves, one that does not, one that is not there", async () => {
    const server = await startGrpc();
    const at = `grpc://127.0.0.1:${server.port}`;
    expect(await ask(at)).toBe("ready");
    expect(await ask(`${at}/a.B`)).toBe("ready");
    expect(await ask(`${at}/down`)).toBe("it says NOT_SERVING");
    expect(await ask(`${at}/other`)).toBe("gRPC status 5: no such service");
    expect(await ask(`${at}/slow`, false, 50)).toBe("no answer in time");
    server.done();
    expect(await ask(at)).toMatch(/ECONNREFUSED/);
  });

  test("dns: a name that everybody has, one that nobody has", async () => {
    expect(await ask("dns:localhost")).toBe("ready");
    expect(await ask("dns:nobody.invalid", false, 20_000)).toMatch(/no such host name|name servers do not answer/);
  });

  test("file: there or not, or out of reach", async () => {
    const path = join(folder.path, "ready");
    expect(await ask(`file:${path}`)).toBe("there is no such file");
    writeFileSync(path, "");
    expect(await ask(`file:${path}`)).toBe("ready");
    expect(await ask(`file:${path}/below`)).toMatch(/there is no such file|not a directory/);
  });
});

describe("several", () => {
  test("one deadline for all; the last reason of each that is missing", async () => {
    const there = `tcp://127.0.0.1:${await listen(() => undefined)}`;
    const [port = 0] = await freePorts(1);
    const missing = join(folder.path, "missing");
    const words = ["--for", there, "--for", `tcp://127.0.0.1:${port}`, "--for", `file:${missing}`];
    const lines: string[] = [];
    const wait = (more: readonly string[]) =>
      waitForAll(realClock, planOf([...words, ...more]), (text) => lines.push(text), false);
    const error = await wait(["--timeoutSeconds=0"]).catch((one: unknown) => one);
    expect(error).toBeInstanceOf(Refused);
    expect(String(error)).toBe(
      "Refused: cannot wait any longer: not ready within 0 s:\n" +
        `  tcp://127.0.0.1:${port}: connection refused: nobody listens there (ECONNREFUSED)\n` +
        `  file:${missing}: there is no such file`,
    );
    expect(lines.length).toBe(2);
  });

  test("one target: one sentence", async () => {
    const missing = join(folder.path, "missing");
    const wait = waitForAll(
      realClock,
      planOf(["--for", `file:${missing}`, "--timeoutSeconds=0"]),
      () => undefined,
      true,
    );
    await expect(wait).rejects.toThrow(
      `cannot wait any longer for file:${missing}: not ready within 0 s: there is no such file`,
    );
  });
});
