import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSharedMemory } from "../../../src/process/hot-restart/shared-memory.ts";
import { eventually, patience } from "../eventually.ts";
import { envoy } from "../paths.ts";

/** An Envoy that can be held right before it is exec'ed, so that a test is there for every moment that follows. */
export interface Holder {
  readonly program: string;
  /** The next one that is started for service stops itself before its exec, under the pid that it will have. */
  hold(): void;
  /** Waits for one that was held; gives its pid, and holds no further one. */
  held(): Promise<number>;
}

export function holdingEnvoy(folder: string): Holder {
  const [program, wanted, held] = [join(folder, "envoy"), join(folder, "hold"), join(folder, "held")];
  const script = `#!/bin/sh
case " $* " in
  *" --restart-epoch "*)
    case " $* " in *" --mode validate "*) exec ${envoy} "$@" ;; esac
    if [ -e ${wanted} ]; then
      rm ${wanted}
      echo $$ > ${held}.new && mv ${held}.new ${held}
      kill -STOP $$
    fi ;;
esac
exec ${envoy} "$@"
`;
  writeFileSync(program, script, { mode: 0o755 });
  return {
    program,
    hold() {
      rmSync(held, { force: true });
      writeFileSync(wanted, "");
    },
    async held() {
      const pid = await eventually("an Envoy is held", () => existsSync(held) && Number(readFileSync(held, "utf8")));
      await eventually("it has stopped", () => stateOf(pid) === "T");
      return pid;
    },
  };
}

export const stateOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").pop()?.[0] ?? "gone";
  } catch {
    return "gone";
  }
};

/** Moments in the start of a child, each seen from outside. */
export type Moment =
  /** It is Envoy, and nothing else has happened. */
  | "exec"
  /** The flag in shared memory is set: it has attached, and initializes. */
  | "attached"
  /** Its first worker is there. */
  | "workers";

/**
 * Lets a held one go and looks at it without a pause until the moment is there: Envoy needs some ten milliseconds for
 * all of them, so the loop that looks must not wait.
 */
export function letGoUntil(moment: Moment, pid: number, baseId: number): void {
  const facts: Readonly<Record<Moment, () => boolean>> = {
    exec: () => readlinkSync(`/proc/${pid}/exe`).endsWith("envoy"),
    attached: () => {
      const state = readSharedMemory({ baseId });
      return state.is === "known" && state.initializing;
    },
    workers: () => threadsOf(pid).some((name) => name.startsWith("wrk:")),
  };
  process.kill(pid, "SIGCONT");
  const end = performance.now() + patience;
  while (!facts[moment]()) if (performance.now() > end) throw new Error(`not seen: ${moment}`);
}

const threadsOf = (pid: number): readonly string[] =>
  readdirSync(`/proc/${pid}/task`).map((task) => {
    try {
      return readFileSync(`/proc/${pid}/task/${task}/comm`, "utf8");
    } catch {
      return "";
    }
  });
