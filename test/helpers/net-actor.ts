import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Namespace } from "./network-namespaces.ts";
import { root } from "./paths.ts";

export interface Answer {
  readonly at?: string;
  readonly saw?: string;
  readonly from?: string;
  readonly as?: string;
  readonly error?: string;
  readonly echo?: string;
  readonly port?: number;
  readonly counts?: Readonly<Record<string, number>>;
}

/** One user in one namespace; see test/programs/net-actor.mjs for what it can do. */
export interface Actor {
  ask(what: string, more?: Readonly<Record<string, unknown>>): Promise<Answer>;
  listen(host: string, port: number, name: string): Promise<number>;
  dial(host: string, port: number, more?: Readonly<Record<string, unknown>>): Promise<Answer>;
  done(): void;
}

export async function startActor(namespace: Pick<Namespace, "prefix">, uid: number, gid = uid): Promise<Actor> {
  const [first = "", ...rest] = namespace.prefix;
  const program = join(root, "test/programs/net-actor.mjs");
  const child: ChildProcess = spawn(first, [...rest, process.execPath, program], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { UID_GID: `${uid}:${gid}`, PATH: process.env["PATH"] },
  });
  const waiting = new Map<number, (answer: Answer) => void>();
  let next = 0;
  const ready = new Promise<void>((resolve, reject) => {
    child.once("exit", () => reject(new Error("the actor ended")));
    if (child.stdout)
      createInterface({ input: child.stdout }).on("line", (line) => {
        const answer = JSON.parse(line) as Answer & { readonly id?: number; readonly ready?: boolean };
        if (answer.ready) resolve();
        else waiting.get(answer.id ?? -1)?.(answer);
      });
  });
  await ready;
  const ask = (what: string, more: Readonly<Record<string, unknown>> = {}): Promise<Answer> =>
    new Promise((resolve) => {
      const id = next++;
      waiting.set(id, (answer) => {
        waiting.delete(id);
        resolve(answer);
      });
      child.stdin?.write(`${JSON.stringify({ do: what, id, ...more })}\n`);
    });
  return {
    ask,
    listen: async (host, port, name) => {
      const { error, port: got } = await ask("listen", { host, port, name });
      if (got === undefined) throw new Error(`cannot listen on ${host}:${port}: ${error}`);
      return got;
    },
    dial: (host, port, more = {}) => ask("dial", { host, port, ...more }),
    done: () => void child.kill("SIGKILL"),
  };
}
