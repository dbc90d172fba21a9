import { type ChildProcess, spawn } from "node:child_process";
import { symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { pilotfish, root, temporaryFolder } from "../helpers/paths.ts";

/** The built program behind its launcher, in an empty folder, with nothing of our own environment but PATH. */
class Program {
  readonly #folder = temporaryFolder("cli");
  readonly folder = this.#folder.path;
  #children: ChildProcess[] = [];

  start(words: readonly string[], env: Readonly<Record<string, string>> = {}, launcher = pilotfish) {
    const child = spawn(launcher, [...words], {
      cwd: this.folder,
      env: { PATH: process.env["PATH"] ?? "", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.push(child);
    const said = { out: "", err: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (said.out += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said.err += text));
    const ended = new Promise<{ readonly code: number | null; readonly signal: string | null }>((done) =>
      child.once("close", (code, signal) => done({ code, signal })),
    );
    return { child, said, ended };
  }

  async run(words: readonly string[], env: Readonly<Record<string, string>> = {}, launcher = pilotfish) {
    const { said, ended } = this.start(words, env, launcher);
    return { ...(await ended), ...said };
  }

  done(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    this.#folder.done();
  }
}

let program = new Program();
let server: Server | undefined;
afterEach(async () => {
  program.done();
  program = new Program();
  await new Promise<void>((done) => (server === undefined ? done() : server.close(() => done())));
  server = undefined;
});

async function serve(answer: () => readonly [status: number, body: string]): Promise<string> {
  const [port = 0] = await freePorts(1);
  server = createServer((_, response) => {
    const [status, body] = answer();
    response.writeHead(status).end(body);
  });
  await new Promise<void>((done) => server?.listen(port, "127.0.0.1", done));
  return `http://localhost:${port}/healthz/ready`;
}

describe("exit codes", () => {
  test("version is 0 and tells the commit and our Node", async () => {
    const seen = await program.run(["version", "-o", "json"]);
    expect(seen).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse(seen.out)).toMatchObject({
      version: expect.stringMatching(/^\d/),
      node: expect.stringMatching(/^v24\./),
    });
  });

  test.each([
    [[], 64, "no command was given"],
    [["prxy"], 64, 'prxy: there is no such command; did you mean "proxy"?'],
    [["version", "--output=toml"], 64, '--output: "toml" can\'t be used; use one of json, yaml'],
    [["request", "GET", "/", "--debug-port=1"], 64, '--debug-port: "1" is no port of the proxy'],
    [["request", "GET", "/", "--socket=./none.sock"], 69, "cannot GET / on ./none.sock: no such file or directory"],
    [["wait", "--timeoutSeconds=0", "--url=http://127.0.0.1:1/"], 1, "cannot wait any longer"],
    [["completion", "tcsh"], 64, '"tcsh" is no shell'],
  ] as const)("%j is %d", async (words, code, text) => {
    const seen = await program.run(words);
    expect(seen.err).toContain(text);
    expect(seen.code).toBe(code);
  });

  test("under another name it is the same program", async () => {
    const link = `${program.folder}/pilot-agent`;
    symlinkSync(pilotfish, link);
    expect(await program.run(["version", "--short"], {}, link)).toMatchObject({ code: 0, err: "" });
  });
});

describe("proxy with unusable input", () => {
  test("names everything at once, 64, and starts nothing", async () => {
    const marker = `${program.folder}/started`;
    const envoy = `${program.folder}/envoy`;
    writeFileSync(envoy, `#!/bin/sh\ntouch "${marker}"\n`, { mode: 0o755 });
    writeFileSync(`${program.folder}/mesh`, "defaultConfig:\n  drainDuration: soon\n  - broken\n");
    const words = [
      ..."proxy sidecar --statusPort x --domain $(POD_NAMESPACE).svc --meshConfig ./mesh --drainDuration 45".split(" "),
      "--newFlag",
      "value",
      "--other=1",
    ];
    const env = { PILOTFISH_ENVOY: envoy, ENVOY_STATUS_PORT: "http", ISTIO_META_DNS_CAPTURE: "true" };
    const seen = await program.run(words, env);
    expect(seen.code).toBe(64);
    const [warning, heading, ...problems] = seen.err.trimEnd().split("\n");
    expect(warning).toBe("pilotfish: warning: ignored flags that are not known: --newFlag, --other");
    expect(heading).toBe("pilotfish: cannot use this configuration:");
    expect(problems.map((line) => line.trim().split(": ")[0])).toEqual([
      "--domain",
      "./mesh:3",
      "--drainDuration",
      "--statusPort",
      "ENVOY_STATUS_PORT",
      "ISTIO_META_DNS_CAPTURE",
    ]);
    expect(await program.run(["version"])).toMatchObject({ code: 0 });
    const { existsSync } = await import("node:fs");
    expect(existsSync(marker)).toBe(false);
    expect(existsSync(`${program.folder}/etc`)).toBe(false);
  });

  test("a mesh file that can't be read is a problem with its reason", async () => {
    const seen = await program.run(["proxy", "--meshConfig", "."]);
    expect(seen).toMatchObject({ code: 64 });
    expect(seen.err).toContain(".: it can't be read: it is a directory (EISDIR)");
  });
});

describe("wait", () => {
  test("a proxy that is ready: 0, and not a word", async () => {
    const url = await serve(() => [200, ""]);
    expect(await program.run(["wait", "--url", url])).toEqual({ code: 0, signal: null, out: "", err: "" });
  });

  test("tells why it waits, then ends with 0 as soon as it is ready", async () => {
    let ready = false;
    const url = await serve(() => (ready ? [200, ""] : [503, "Envoy is initializing"]));
    const waiting = program.start(["wait", `--url=${url}`, "--periodMillis", "20", "--timeoutSeconds=60"]);
    await eventually("the reason is told", () => waiting.said.err.includes("waiting for"));
    expect(waiting.said.err).toBe(`pilotfish: waiting for ${url}: 503 Envoy is initializing\n`);
    ready = true;
    expect(await waiting.ended).toEqual({ code: 0, signal: null });
  });

  test.each(["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"] as const)("%s ends it as any program", async (signal) => {
    const url = await serve(() => [503, "no"]);
    const waiting = program.start(["wait", "--url", url]);
    await eventually("it waits", () => waiting.said.err.includes("waiting for"));
    waiting.child.kill(signal);
    expect(await waiting.ended).toEqual({ code: null, signal });
  });
});

describe("an error that nobody caught", () => {
  test.each(["setTimeout(() => { throw new Error('late') }, 1)", "void Promise.reject(new Error('late'))"])(
    "%s reaches the net, with its own exit code",
    async (body) => {
      const net = `${root}/src/system/command-line.ts`;
      const text = `import { catchUncaught, onUncaught, toStderr } from ${JSON.stringify(net)};
        catchUncaught();
        onUncaught((error) => { toStderr(String(error)); process.exit(70); });
        ${body}; setTimeout(() => process.exit(0), 20_000);`;
      const seen = await program.run(["--input-type=module-typescript", "-e", text], {}, process.execPath);
      expect(seen).toMatchObject({ code: 70, err: "Error: late" });
    },
  );
});

describe("output", () => {
  test("a request's large answer comes out whole through a pipe", async () => {
    const body = "0123456789abcdef".repeat(512 * 1024);
    const url = await serve(() => [200, body]);
    const seen = await program.run(["request", "GET", "/x", `--proxyAdminPort=${new URL(url).port}`]);
    expect(seen).toMatchObject({ code: 0, err: "" });
    expect(seen.out === body).toBe(true);
  });

  test("a reader that goes away is no error of ours", async () => {
    const { said, child, ended } = program.start(["proxy", "--help"]);
    child.stdout.destroy();
    expect(await ended).toEqual({ code: 0, signal: null });
    expect(said.err).toBe("");
  });
});
