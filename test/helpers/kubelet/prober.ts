import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { root } from "../paths.ts";

/** Asks from a network namespace of its own choice, as a kubelet on its node. */
export interface Prober {
  http(host: string, port: number, path: string, timeout: number): Promise<boolean>;
  tcp(host: string, port: number, timeout: number): Promise<boolean>;
  /** The body of an answer, for a client outside of the pod. */
  get(host: string, port: number, path: string): Promise<string>;
  done(): void;
}

interface Answer {
  readonly id: number;
  readonly status?: number;
  readonly body?: string;
  readonly error?: string;
}

/** `prefix`: words that run a program in the right namespace. */
export async function startProber(prefix: readonly string[]): Promise<Prober> {
  const [first = process.execPath, ...rest] = prefix;
  const words = [
    ...rest,
    ...(prefix.length === 0 ? [] : [process.execPath]),
    join(root, "test/programs/pod-prober.mjs"),
  ];
  const child = spawn(first, words, { stdio: ["pipe", "pipe", "inherit"] });
  const waiting = new Map<number, (answer: Answer) => void>();
  let next = 0;
  await new Promise<void>((resolve, reject) => {
    child.once("exit", () => reject(new Error("the prober ended")));
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line === "ready") return resolve();
      const answer = JSON.parse(line) as Answer;
      waiting.get(answer.id)?.(answer);
      waiting.delete(answer.id);
    });
  });
  const ask = (what: object): Promise<Answer> =>
    new Promise((resolve) => {
      const id = next++;
      waiting.set(id, resolve);
      child.stdin.write(`${JSON.stringify({ id, ...what })}\n`);
    });
  return {
    http: async (host, port, path, timeout) => {
      const { status = 0 } = await ask({ kind: "http", host, port, path, timeout });
      return status >= 200 && status < 400;
    },
    tcp: async (host, port, timeout) => (await ask({ kind: "tcp", host, port, timeout })).error === undefined,
    get: async (host, port, path) => {
      const { status, body, error } = await ask({ kind: "http", host, port, path, timeout: 10_000 });
      if (status !== 200) throw new Error(`${host}:${port}${path}: ${error ?? `${status} ${body}`}`);
      return body ?? "";
    },
    done: () => child.kill("SIGKILL"),
  };
}
