import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { request as plainRequest } from "node:http";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { pilotfish, temporaryFolder } from "../helpers/paths.ts";

const folder = temporaryFolder("webhook");
const tls = join(folder.path, "tls");
const config = join(folder.path, "config.yaml");

let program: ChildProcess;
let log = "";
let port = 0;
let monitoringPort = 0;

beforeAll(async () => {
  writeFileSync(config, "image: first:1\n");
  program = spawn(
    pilotfish,
    [
      "webhook --host 127.0.0.1 --port 0 --monitoringPort 0 --serverName localhost --serverName 127.0.0.1",
      `--selfMade ${tls} --config ${config} --log_as_json --requestTimeout 2s --maxBody 262144 --log_output_level all:info`,
    ].flatMap((words) => words.split(" ")),
    // A small heap, so that what is kept for ever shows, and is not mistaken for what is not yet collected.
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NODE_OPTIONS: "--max-semi-space-size=1 --max-old-space-size=64" },
    },
  );
  for (const stream of [program.stdout, program.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
  }
  const ports = await eventually(
    "the webhook serves",
    () => /"port":(\d+),"monitoringPort":(\d+)/.exec(log) ?? undefined,
  );
  [port, monitoringPort] = [Number(ports[1]), Number(ports[2])];
});

afterAll(async () => {
  if (program.exitCode === null && program.signalCode === null) {
    const gone = new Promise((resolve) => program.once("exit", resolve));
    program.kill("SIGKILL");
    await gone;
  }
  folder.done();
});

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly type: string;
}

const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web" },
  spec: { containers: [{ name: "web", image: "web:1", readinessProbe: { httpGet: { path: "/", port: 80 } } }] },
};
const review = (object: unknown = pod): string =>
  JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: { uid: "u-1", operation: "CREATE", namespace: "shop", object },
  });

const ca = (): Buffer => readFileSync(join(tls, "ca.crt"));

function send(
  body: string | Buffer,
  options: { method?: string; path?: string; headers?: Record<string, string>; agent?: Agent } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: "127.0.0.1",
        servername: "localhost",
        port,
        ca: ca(),
        method: options.method ?? "POST",
        path: options.path ?? "/inject",
        agent: options.agent ?? false,
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body), ...options.headers },
      },
      (incoming) => {
        let text = "";
        incoming.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        incoming.on("end", () =>
          resolve({ status: incoming.statusCode ?? 0, body: text, type: incoming.headers["content-type"] ?? "" }),
        );
        incoming.on("error", reject);
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

const responseOf = (answer: Answer): Record<string, unknown> =>
  (JSON.parse(answer.body) as { response: Record<string, unknown> }).response;
const imageIn = (answer: Answer): string | undefined =>
  /"image":"((?:first|second):\d)"/.exec(Buffer.from(String(responseOf(answer)["patch"]), "base64").toString())?.[1];

function metrics(): Promise<string> {
  return new Promise((resolve, reject) => {
    plainRequest({ host: "127.0.0.1", port: monitoringPort, path: "/metrics", agent: false }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      incoming.on("end", () => resolve(text));
    })
      .on("error", reject)
      .end();
  });
}
const metric = async (name: string): Promise<number> =>
  Number(new RegExp(`^${name.replace(/[{}"]/g, "\\$&")} (\\S+)$`, "m").exec(await metrics())?.[1] ?? Number.NaN);

/** A raw TLS connection for what no HTTP client would send. */
function raw(): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, servername: "localhost", ca: ca() }, () => resolve(socket));
    socket.once("error", reject);
  });
}

describe("the webhook", () => {
  test("answers a review with a patch, as JSON", async () => {
    const answer = await send(review());
    expect(answer).toMatchObject({ status: 200, type: "application/json" });
    expect(responseOf(answer)).toMatchObject({ uid: "u-1", allowed: true, patchType: "JSONPatch" });
    expect(imageIn(answer)).toBe("first:1");
  });

  test.each(["application/json; charset=utf-8", "Application/JSON", 'application/json;charset="utf-8"; x=y'])(
    "content type %s",
    async (type) => {
      expect((await send(review(), { headers: { "content-type": type } })).status).toBe(200);
    },
  );

  test("what is no review is turned away with the reason", async () => {
    expect(await send("x", { headers: { "content-type": "text/plain" } })).toMatchObject({ status: 415 });
    expect(await send(gzipSync(review()), { headers: { "content-encoding": "gzip" } })).toMatchObject({ status: 415 });
    expect(await send("", { method: "GET" })).toMatchObject({ status: 405 });
    expect(await send(review(), { path: "/elsewhere" })).toMatchObject({ status: 404 });
    expect(await send("", {})).toMatchObject({ status: 400 });
    expect((await send("{}", {})).body).toContain("it is no AdmissionReview");
    expect(await send(`{"a":"${"x".repeat(10 * 1024 * 1024)}"}`)).toMatchObject({
      status: 413,
      body: expect.stringContaining("more than 262144 bytes") as string,
    });
  });

  test("10 MB in pieces without a length are cut off", async () => {
    const name = 'pilotfish_webhook_failed_total{reason="http-413"}';
    const before = (await metric(name)) || 0;
    const socket = await raw();
    socket.on("error", () => undefined);
    socket.resume();
    socket.write(
      "POST /inject HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    const piece = `10000\r\n${"x".repeat(65_536)}\r\n`;
    for (let sent = 0; sent < 160 && socket.writable; sent++) socket.write(piece);
    // Whether its sender still reads the answer is a matter of chance: it never ends.
    await eventually("the connection ends", () => socket.destroyed || socket.readyState !== "open");
    expect(await metric(name)).toBe(before + 1);
    socket.destroy();
    expect(program.exitCode).toBe(null);
  });

  test("a body that comes too slowly is given up", async () => {
    const socket = await raw();
    let text = "";
    socket.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    socket.on("error", () => undefined);
    socket.write("POST /inject HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{");
    await eventually("the connection ends", () => socket.closed || socket.readableEnded);
    expect(text).toContain("408");
    socket.destroy();
  });

  test("many clients that hold back the end of large bodies get no more memory than there is", async () => {
    const sockets = await Promise.all(Array.from({ length: 40 }, raw));
    const size = 262_144;
    for (const socket of sockets) {
      socket.on("error", () => undefined);
      socket.write(
        `POST /inject HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${size}\r\n\r\n`,
      );
      socket.write("x".repeat(size - 1));
    }
    const refused = 'pilotfish_webhook_failed_total{reason="http-503"}';
    await eventually("what sixteen bodies leave is refused", async () => (await metric(refused)) >= 5);
    for (const socket of sockets) socket.destroy();
    await eventually("others are served again", async () => (await send(review())).status === 200);
  });

  test("a client that goes away, and one that does not speak TLS, harm nobody", async () => {
    const socket = await raw();
    socket.write("POST /inject HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{");
    socket.destroy();
    await new Promise<void>((resolve) => {
      plainRequest({ host: "127.0.0.1", port, path: "/inject", agent: false }, (incoming) => incoming.resume())
        .on("error", () => resolve())
        .on("close", () => resolve())
        .end();
    });
    expect((await send(review())).status).toBe(200);
  });

  test("health and metrics", async () => {
    expect(await send("", { method: "GET", path: "/healthz" })).toMatchObject({ status: 200, body: "ok\n" });
    const before = await metric("pilotfish_webhook_injected_total");
    const skipped = await metric('pilotfish_webhook_skipped_total{reason="host-network"}');
    await send(review());
    await send(review({ ...pod, spec: { ...pod.spec, hostNetwork: true } }));
    expect(await metric("pilotfish_webhook_injected_total")).toBe(before + 1);
    expect(await metric('pilotfish_webhook_skipped_total{reason="host-network"}')).toBe(
      (Number.isNaN(skipped) ? 0 : skipped) + 1,
    );
    expect(await metric('pilotfish_webhook_failed_total{reason="http-413"}')).toBeGreaterThan(0);
    expect(await metric("pilotfish_webhook_certificate_end_seconds")).toBeGreaterThan(1e9);
  });

  test("a new configuration counts, a broken one does not", async () => {
    writeFileSync(config, "image: second:2\n");
    await eventually("the new image", async () => imageIn(await send(review())) === "second:2");
    writeFileSync(config, "image: [\n");
    await eventually("the log says so", () => log.includes("cannot take the new configuration, the old one stays"));
    expect(imageIn(await send(review()))).toBe("second:2");
  });

  test("a new certificate is served without a restart", async () => {
    const serial = async (): Promise<string> => {
      const socket = await raw();
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      return serialNumber;
    };
    const first = await serial();
    const made = spawn(
      pilotfish,
      ["webhook", "--makeCertificate", tls, "--serverName", "localhost", "--serverName", "other"],
      {
        stdio: "ignore",
      },
    );
    const code = await new Promise((resolve) => made.once("exit", resolve));
    expect(code).toBe(0);
    await eventually("the new certificate", async () => (await serial()) !== first);
    expect(statSync(join(tls, "tls.key")).mode & 0o777).toBe(0o600);
    expect(statSync(join(tls, "ca.key")).mode & 0o777).toBe(0o600);
  });

  test("3,000 reviews, 32 at a time: no error, flat memory", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 32 });
    const resident = (): number =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${program.pid}/status`, "utf8"))?.[1]) / 1_024;
    const many = async (count: number): Promise<void> => {
      const body = review();
      let left = count;
      const one = async (): Promise<void> => {
        while (left-- > 0) expect((await send(body, { agent })).status).toBe(200);
      };
      await Promise.all(Array.from({ length: 32 }, one));
    };
    await many(1_000);
    const warm = resident();
    await many(3_000);
    agent.destroy();
    expect(resident() - warm).toBeLessThan(32);
  });

  test("SIGTERM ends it with 0, and the port is free", async () => {
    const gone = new Promise((resolve) => program.once("exit", resolve));
    program.kill("SIGTERM");
    expect(await gone).toBe(0);
    await expect(send(review())).rejects.toThrow("ECONNREFUSED");
  });
});

describe("the webhook's command", () => {
  const run = async (...words: string[]): Promise<{ code: number | null; text: string }> => {
    const child = spawn(pilotfish, ["webhook", ...words], { stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
    }
    return { code: await new Promise((resolve) => child.once("close", resolve)), text };
  };

  test("without a certificate: 69 and what to do", async () => {
    const { code, text } = await run("--cert", join(folder.path, "none.crt"), "--key", join(folder.path, "none.key"));
    expect(code).toBe(69);
    expect(text).toContain("cannot serve TLS");
  });

  test("with an unusable configuration: 64, every problem", async () => {
    writeFileSync(config, "mode: x\nimages: 1\n");
    const { code, text } = await run("--config", config, "--port", "99999");
    expect(code).toBe(64);
    expect(text).toContain("--port");
    const second = await run("--config", config);
    expect(second.code).toBe(64);
    expect(second.text).toContain(`${config}:1 mode: "x" is not one of native, classic`);
    expect(second.text).toContain(`${config}:2 images: there is no such setting`);
  });

  test("makes a certificate once, and leaves a good one alone", async () => {
    const own = join(folder.path, "own");
    expect(await run("--makeCertificate", own)).toMatchObject({
      code: 0,
      text: expect.stringContaining("ca.crt") as string,
    });
    expect(existsSync(join(own, "tls.crt"))).toBe(true);
    expect(await run("--makeCertificate", own)).toMatchObject({
      code: 0,
      text: expect.stringContaining("holds a good certificate") as string,
    });
  });
});
