import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../eventually.ts";
import { temporaryFolder } from "../paths.ts";
import type { BuiltImage } from "./build-image.ts";
import { type ContainerWish, ociSpec } from "./oci-spec.ts";

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

let made = 0;

/** A container in runc, started by the constructor. `done` leaves nothing of it, whatever happened. */
export class Container {
  readonly id: string;
  readonly exited: Promise<Finished>;
  output = "";
  readonly #folder = temporaryFolder("container");
  readonly #child: ChildProcess;
  readonly #lastNet = (): void => this.done();

  constructor(image: BuiltImage, wish: ContainerWish) {
    this.id = `pilotfish-${process.pid}-${made++}`;
    mkdirSync(join(this.#folder.path, "bundle"));
    mkdirSync(join(this.#folder.path, "volumes"));
    const spec = ociSpec(image, wish, `/${this.id}`, join(this.#folder.path, "volumes"));
    writeFileSync(join(this.#folder.path, "bundle/config.json"), JSON.stringify(spec));
    this.#child = spawn("runc", [...this.#state, "run", "--bundle", join(this.#folder.path, "bundle"), this.id], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    process.once("exit", this.#lastNet);
    this.exited = this.#watch();
  }

  get #state(): readonly string[] {
    return ["--root", join(this.#folder.path, "state")];
  }

  #watch(): Promise<Finished> {
    const texts = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      this.#child[name]?.setEncoding("utf8").on("data", (part: string) => {
        texts[name] += part;
        this.output += part;
      });
    }
    return new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("close", (code) => resolve({ code, ...texts }));
    });
  }

  /** Runs a program inside, as the container's user, as `kubectl exec` does. */
  exec(...words: readonly string[]): Finished {
    const { status, stdout, stderr } = spawnSync("runc", [...this.#state, "exec", this.id, ...words], {
      encoding: "utf8",
    });
    return { code: status, stdout, stderr };
  }

  signal(name: "TERM" | "HUP" | "KILL"): void {
    execFileSync("runc", [...this.#state, "kill", this.id, name], { stdio: ["ignore", "ignore", "pipe"] });
  }

  /** The process that is PID 1 inside, by its number outside. */
  pid(): number {
    return (JSON.parse(execFileSync("runc", [...this.#state, "state", this.id], { encoding: "utf8" })) as State).pid;
  }

  /** Every process below PID 1, and PID 1 itself; zombies too. */
  processes(): readonly ContainerProcess[] {
    const all = readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .flatMap((name) => processFacts(Number(name)));
    const parents = new Map(all.map((one) => [one.pid, one.parent]));
    const first = this.pid();
    const below = (pid: number): boolean => pid === first || (pid > 1 && below(parents.get(pid) ?? 0));
    return all.filter((one) => below(one.pid));
  }

  done(): void {
    process.off("exit", this.#lastNet);
    spawnSync("runc", [...this.#state, "delete", "--force", this.id], { stdio: "ignore" });
    this.#child.kill("SIGKILL");
    this.#folder.done();
  }

  /** Waits for the end of a container that is expected to end by itself. */
  async end(): Promise<Finished> {
    let ended: Finished | undefined;
    void this.exited.then((facts) => {
      ended = facts;
    });
    return eventually(`the end of ${this.id}`, () => ended);
  }
}

interface State {
  readonly pid: number;
}

export interface ContainerProcess {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  readonly zombie: boolean;
  readonly uid: number;
  /** CapEff, as the kernel prints it. */
  readonly capabilities: string;
}

function processFacts(pid: number): readonly ContainerProcess[] {
  try {
    const text = readFileSync(`/proc/${pid}/status`, "utf8");
    const field = (name: string): string => new RegExp(`^${name}:\\s+(\\S+)`, "m").exec(text)?.[1] ?? "";
    return [
      {
        pid,
        parent: Number(field("PPid")),
        name: field("Name"),
        zombie: field("State") === "Z",
        uid: Number(field("Uid")),
        capabilities: field("CapEff"),
      },
    ];
  } catch {
    return [];
  }
}
