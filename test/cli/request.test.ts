import { createServer, type IncomingMessage, type Server } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { requestCommand } from "../../src/cli/commands/request.ts";
import { parseArguments } from "../../src/cli/parse-arguments.ts";
import { readRequest, run } from "../../src/cli/run-request.ts";
import { readYaml } from "../../src/config/yaml-reader.ts";
import { InvalidConfig, Refused, Unavailable } from "../../src/foundation/errors.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { temporaryFolder } from "../helpers/paths.ts";

const read = (words: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  readRequest({ flags: parseArguments(words, requestCommand.options).flags, env: new Map(Object.entries(env)) });

describe("what the words ask for", () => {
  test.each([
    { title: "admin by default", words: ["GET", "/stats"], where: "port 15000", method: "GET" },
    { title: "method in small letters", words: ["post", "/quitquitquit"], where: "port 15000", method: "POST" },
    { title: "status port", words: ["GET", "x", "--debug-port", "15020"], where: "port 15020", method: "GET" },
    { title: "the old debug tap", words: ["GET", "x", "--debug-port=15004"], where: "port 15004", method: "GET" },
    { title: "a moved admin", words: ["GET", "x", "--proxyAdminPort=9901"], where: "port 9901", method: "GET" },
    { title: "a socket", words: ["GET", "x", "--socket", "/s"], where: "/s", method: "GET" },
  ])("$title", ({ words, where, method }) => {
    expect(read(words)).toMatchObject({ where, method, timeout: 60_000 });
  });

  test("ports that the environment moved are allowed", () => {
    const env = { PROXY_CONFIG: '{"proxyAdminPort":9901,"statusPort":9920}', ENVOY_STATUS_PORT: "9921" };
    expect(read(["GET", "/"], env).where).toBe("port 9901");
    expect(read(["GET", "/", "--debug-port=9920"], env).where).toBe("port 9920");
    expect(read(["GET", "/", "--debug-port=9921"], env).where).toBe("port 9921");
    expect(() => read(["GET", "/", "--debug-port=22"], env)).toThrow(
      /use one of 9901, 9920, 9921, 15000, 15004, 15020, 15021/,
    );
  });

  test("PROXY_CONFIG in YAML counts too", () => {
    const { flags } = parseArguments(["GET", "/"], requestCommand.options);
    const env = new Map([["PROXY_CONFIG", "proxyAdminPort: 9901"]]);
    expect(readRequest({ flags, env }, readYaml).where).toBe("port 9901");
  });

  test("all that is wrong at once", () => {
    try {
      read(["G E T", "", "body", "more", "--debug-port=80", "--timeout=0"]);
      expect.unreachable();
    } catch (error) {
      const names = error instanceof InvalidConfig ? error.problems.map((one) => one.name) : error;
      expect(names).toEqual(["METHOD", "PATH", "BODY", "--debug-port", "--timeout"]);
    }
  });
});

describe("the exchange", () => {
  let server: Server | undefined;
  afterEach(() => new Promise<void>((done) => (server ? server.close(() => done()) : done())));

  async function exchange(words: readonly string[], answer: (incoming: IncomingMessage) => readonly [number, Buffer]) {
    const folder = temporaryFolder("request");
    const socket = `${folder.path}/s.sock`;
    server = createServer((incoming, response) => {
      incoming.resume().on("end", () => {
        const [status, body] = answer(incoming);
        response.writeHead(status).end(body);
      });
    });
    await new Promise<void>((done) => server?.listen(socket, done));
    const parts: Uint8Array[] = [];
    const { flags } = parseArguments([...words, "--socket", socket], requestCommand.options);
    try {
      const call = {
        flags,
        env: new Map<string, string>(),
        program: "pilotfish",
        out: () => undefined,
        err: () => undefined,
      };
      const code = await run({ ...call, outBytes: (bytes) => parts.push(bytes) }).catch((error: unknown) => error);
      return { code, body: Buffer.concat(parts) };
    } finally {
      folder.done();
    }
  }

  test("bytes come out as they came in", async () => {
    const sent = Buffer.from([0, 255, 128, 10, 200]);
    const seen = await exchange(["GET", "/heap"], () => [200, sent]);
    expect(seen.code).toBe(0);
    expect(seen.body.equals(sent)).toBe(true);
  });

  test("method, path and body arrive", async () => {
    const heard: unknown[] = [];
    await exchange(["POST", "logging?level=debug", "body"], (incoming) => {
      heard.push(incoming.method, incoming.url, incoming.headers["content-length"]);
      return [200, Buffer.from("")];
    });
    expect(heard).toEqual(["POST", "/logging?level=debug", "4"]);
  });

  test("no 2xx is refused, and its body is printed", async () => {
    const seen = await exchange(["GET", "/nope"], () => [404, Buffer.from("unknown path")]);
    expect(seen.code).toBeInstanceOf(Refused);
    expect(String(seen.code)).toContain("the answer is 404");
    expect(seen.body.toString()).toBe("unknown path");
  });

  test("nobody there is unavailable", async () => {
    const [port = 0] = await freePorts(1);
    const { flags } = parseArguments(["GET", "/", `--proxyAdminPort=${port}`], requestCommand.options);
    const call = {
      flags,
      env: new Map<string, string>(),
      program: "pilotfish",
      out: () => undefined,
      err: () => undefined,
    };
    await expect(run(call)).rejects.toThrow(Unavailable);
    await expect(run(call)).rejects.toThrow(/nobody listens there.*is the proxy running here\?/);
  });
});
