import { readBootstrapFiles, removeBootstrap, writeBootstrap } from "../bootstrap/bootstrap-file.ts";
import { type BootstrapFacts, type RenderedBootstrap, renderBootstrap } from "../bootstrap/render-bootstrap.ts";
import type { AgentConfig } from "../config/agent-config.ts";
import { describeError, Unavailable } from "../foundation/errors.ts";
import type { Millis } from "../foundation/time.ts";
import { environmentForEnvoy, envoyArguments, type LaunchFiles } from "../process/envoy-command-line.ts";
import type { Launch, LaunchHow } from "../process/launch.ts";
import { fileIdentity, textDigest } from "../system/content-digest.ts";
import { ensureDirectory, executable } from "../system/files.ts";
import type { HttpTarget } from "../system/http-client.ts";
import { type ExitReport, type RunningProgram, startProgram } from "../system/programs.ts";
import { adminOverride } from "./admin-override.ts";
import type { BinaryFacts } from "./binary-facts.ts";
import { deathBond } from "./envoy-launch.ts";
import { keptParentShutdown } from "./parent-shutdown.ts";
import { type Validation, validate } from "./validation.ts";

/** A Launch with what the agent knows of it beyond what the driver needs. */
export interface RenderedLaunch extends Launch {
  readonly config: AgentConfig;
  readonly facts: BootstrapFacts;
  /** Sentences for the log about this bootstrap. */
  readonly notices: readonly string[];
  /** For LaunchHow.hotRestart: from the configuration, long enough for the drain. */
  readonly parentShutdown: Millis;
  readonly binary: string;
  /** Of the binary when it was looked at or started last. */
  readonly identity: string | undefined;
  /** Writes the bootstrap file and makes its directory; `start` does it otherwise. Throws Unavailable. */
  write(): void;
  /** Asks the binary for its hot-restart version; after that `hotRestartVersion` says it. Never rejects. */
  settle(): Promise<void>;
  /** What `--mode validate` says about this bootstrap; `write` came before. Touches no running Envoy. */
  validate(): Promise<Validation>;
}

export interface LaunchContext {
  readonly env: ReadonlyMap<string, string>;
  readonly binaries: BinaryFacts;
  readonly onDiscard?: (launch: RenderedLaunch) => void;
}

/** Renders; nothing is written yet. Throws InvalidConfig with everything that is wrong in the inputs. */
export async function renderLaunch(
  config: AgentConfig,
  serial: number,
  context: LaunchContext,
): Promise<RenderedLaunch> {
  const rendered = await renderBootstrap(config, await readBootstrapFiles(config));
  return new OneLaunch({ config, serial, context, rendered, withAdmin: await adminOverride(rendered.override) });
}

interface Parts {
  readonly config: AgentConfig;
  /** Number of the bootstrap file: each rendering has its own. */
  readonly serial: number;
  readonly context: LaunchContext;
  readonly rendered: RenderedBootstrap;
  readonly withAdmin: (path: string) => string;
}

const wrong = {
  missing: "there is no such file",
  directory: "it is a directory",
  "not-executable": "it may not be executed by this user",
  "not-a-program": "it is not a program",
} as const;

/** Why this file cannot be started; undefined when it can. */
export function binaryObjection(path: string): string | undefined {
  const verdict = executable(path);
  return verdict === "yes" ? undefined : `"${path}": ${wrong[verdict]}`;
}

class OneLaunch implements RenderedLaunch {
  readonly #parts: Parts;
  readonly parentShutdown: Millis;
  readonly notices: readonly string[];
  #settings: string | undefined;
  #path: string | undefined;
  #starts = 0;
  #identity: string | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { config, rendered } = parts;
    const kept = keptParentShutdown(config.envoy);
    this.parentShutdown = kept.time;
    this.notices = [...rendered.notices, ...(kept.notice === undefined ? [] : [kept.notice])];
    this.#identity = fileIdentity(this.binary);
  }

  get config(): AgentConfig {
    return this.#parts.config;
  }

  get facts(): BootstrapFacts {
    return this.#parts.rendered.facts;
  }

  get binary(): string {
    return this.#parts.config.envoy.binaryPath;
  }

  get identity(): string | undefined {
    return this.#identity;
  }

  get digest(): string {
    // Counted when it is first asked for: the first hash of a process costs a part of its start.
    this.#settings ??= settingsDigest(this.#parts.config, this.#parts.rendered, this.parentShutdown);
    return launchDigest({ settings: this.#settings, identity: this.#identity });
  }

  get hotRestartVersion(): string | undefined {
    return this.#parts.context.binaries.knownVersion(this.#identity);
  }

  get admin(): HttpTarget | undefined {
    const at = this.facts.admin;
    if (at === undefined) return undefined;
    return at.kind === "tcp" ? { host: at.host, port: at.port } : { socketPath: at.path };
  }

  write(): void {
    const { config, rendered, serial } = this.#parts;
    const { directory } = config.bootstrap;
    // The user's own file serves for the very first start only: later it may have become another one. Our sockets
    // stand in the directory all the same.
    if (rendered.usedAsItIs !== undefined && serial === 0 && this.#starts === 0) return makeDirectory(directory);
    this.#path ??= writeBootstrap({ ...rendered, usedAsItIs: undefined }, directory, serial);
  }

  start(how: LaunchHow, onExit: (exit: ExitReport) => void): RunningProgram {
    const objection = binaryObjection(this.binary);
    if (objection !== undefined) throw new Unavailable(`cannot start Envoy: ${objection}`);
    this.write();
    const { config, context } = this.#parts;
    const args = envoyArguments(config, this.#files(how.adminPath), how);
    // A restart after a crash starts what stands there now, which may be another binary than the last time.
    this.#identity = fileIdentity(this.binary);
    this.#starts += 1;
    const environment = environmentForEnvoy(context.env);
    const dieWithUs = deathBond(context.env) === "setpriv";
    return startProgram(this.binary, args, { environment, dieWithUs }, { onExit });
  }

  async settle(): Promise<void> {
    await this.#parts.context.binaries.version(this.binary);
  }

  validate(): Promise<Validation> {
    const { config, context } = this.#parts;
    return validate({ config, env: context.env, files: this.#files(undefined) });
  }

  discard(): void {
    if (this.#path !== undefined) removeBootstrap(this.#path);
    this.#path = undefined;
    this.#parts.context.onDiscard?.(this);
  }

  #files(adminPath: string | undefined): LaunchFiles {
    const { rendered, withAdmin } = this.#parts;
    return {
      bootstrapPath: this.#path ?? rendered.usedAsItIs ?? "",
      override: adminPath === undefined ? rendered.override : withAdmin(adminPath),
      setsLogFormat: rendered.facts.setsLogFormat,
    };
  }
}

/** What Envoy is started with, but for the places that differ from start to start. */
function settingsDigest(config: AgentConfig, rendered: RenderedBootstrap, parentShutdown: Millis): string {
  const files: LaunchFiles = { bootstrapPath: "", override: undefined, setsLogFormat: rendered.facts.setsLogFormat };
  const lineage = { prefix: "", baseId: 0 };
  const args = envoyArguments(config, files, { epoch: 0, hotRestart: { lineage, parentShutdown } });
  return textDigest([rendered.text, rendered.override ?? "", ...args]);
}

export interface DigestParts {
  readonly settings: string;
  readonly identity: string | undefined;
}

/**
 * The binary stands in it by its identity: reading a hundred megabytes at every start would cost more than the start.
 * Whether another identity has the same content is asked when it matters.
 */
export const launchDigest = ({ settings, identity }: DigestParts): string => `${settings}+${identity ?? ""}`;

export function digestParts(digest: string): DigestParts {
  const [settings = "", identity = ""] = digest.split("+");
  return { settings, identity: identity === "" ? undefined : identity };
}

function makeDirectory(path: string): void {
  try {
    ensureDirectory(path, 0o700);
  } catch (error) {
    throw new Unavailable(
      `cannot make "${path}": ${describeError(error)}; give a directory by --configPath that can be made`,
      { cause: error },
    );
  }
}
