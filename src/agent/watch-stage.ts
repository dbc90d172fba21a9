import type { AgentConfig, Watched } from "../config/agent-config.ts";
import type { Log } from "../foundation/log.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import type { EnvoyPort } from "../process/envoy-port.ts";
import { WatchedFolders } from "../system/watched-folders.ts";
import { askRestart } from "./ask-restart.ts";
import { inputMarks } from "./input-marks.ts";
import { InputWatch, type WatchedInputs } from "./input-watch.ts";
import type { Stage } from "./stage.ts";

export interface WatchDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Of the newest launch, because it names the files. */
  readonly config: () => AgentConfig;
  /** Files that the configuration itself is read from: mesh, labels, annotations. */
  readonly files: readonly string[];
  readonly envoy: Pick<EnvoyPort, "restart">;
  readonly onBug: (error: unknown) => void;
}

/** A lost event is noticed so late at most. */
const POLL: Millis = 10_000;
/** A change that was refused, because nothing was touched, may go another time: control planes come back. */
const FIRST_RETRY: Millis = 30_000;
const LAST_RETRY: Millis = 600_000;

/**
 * --watch: a changed input asks for a new Envoy. Build it early, so that it knows the inputs of the first start; it is
 * started last. Undefined when nothing is to be watched.
 */
export function watchStage(deps: WatchDeps): Stage | undefined {
  const watched = deps.config().hotRestart?.watch ?? [];
  if (watched.length === 0) return undefined;
  const retries = new Retries(deps);
  const folders = new WatchedFolders(deps.clock, POLL, () => watch.lookSoon());
  const watch = new InputWatch({
    clock: deps.clock,
    inputs: () => inputsOf(deps, watched),
    markOf: inputMarks(),
    folders,
    onChange: (what) => retries.ask(what),
    onBug: deps.onBug,
  });
  return {
    name: "watch",
    start: () => {
      watch.start();
      const { bootstrap, binary } = inputsOf(deps, watched);
      deps.log.info("Watching what Envoy is started with", { files: binary ? [...bootstrap, binary] : bootstrap });
    },
    stop: () => {
      watch.close();
      retries.close();
    },
  };
}

function inputsOf({ config, files }: WatchDeps, watched: readonly Watched[]): WatchedInputs {
  const { bootstrap, envoy } = config();
  const named = [bootstrap.path, bootstrap.overridePath].filter((path) => path !== undefined);
  return {
    bootstrap: watched.includes("bootstrap") ? [...new Set([...files, ...named])] : [],
    binary: watched.includes("binary") ? envoy.binaryPath : undefined,
  };
}

/** Asks for a new Envoy, and again after a refusal. A new change begins anew. */
class Retries {
  readonly #deps: WatchDeps;
  #cancel: (() => void) | undefined;
  /** Number of the newest question; the outcome of an older one arms nothing. */
  #round = 0;
  #closed = false;

  constructor(deps: WatchDeps) {
    this.#deps = deps;
  }

  ask(what: Watched, wait: Millis = FIRST_RETRY): void {
    if (this.#closed) return;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#round += 1;
    this.#try(what, wait, this.#round).catch(this.#deps.onBug);
  }

  async #try(what: Watched, wait: Millis, round: number): Promise<void> {
    const { envoy, log, clock } = this.#deps;
    const cause = `changed: ${what}`;
    const outcome = await askRestart(envoy, log, { cause, strategy: "auto", explicit: false, ignoreMemory: false });
    if (outcome.is !== "refused" || this.#closed || round !== this.#round) return;
    this.#cancel = clock.after(wait, () => this.ask(what, Math.min(wait * 2, LAST_RETRY)));
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
