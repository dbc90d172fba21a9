import type { AgentConfig } from "../config/agent-config.ts";
import { describeError, errorCode, Unavailable } from "../foundation/errors.ts";
import { Problems } from "../foundation/problems.ts";
import { within } from "../foundation/time.ts";
import { realClock } from "../system/clock.ts";
import { ensureDirectory, readText, removeFile, writeWhole } from "../system/files.ts";
import { addressOf } from "../system/host-names.ts";
import { hostPort, isAddress } from "./host-port.ts";
import type { RenderedBootstrap } from "./render-bootstrap.ts";
import type { BootstrapFiles } from "./user-files.ts";

/** How long the address of the statsd host is waited for: Envoy's start waits with us. */
const LOOK_UP_WITHIN = 2_000;

/**
 * Reads the files that this configuration names for the bootstrap, and looks up the host that Envoy can't.
 * InvalidConfig names every file that can't be read.
 */
export async function readBootstrapFiles(config: AgentConfig): Promise<BootstrapFiles> {
  const { kind, path, overridePath } = config.bootstrap;
  const problems = new Problems();
  const own = path === undefined ? undefined : readUserFile(path, problems);
  const override = overridePath === undefined ? undefined : readUserFile(overridePath, problems);
  problems.throwIfAny("cannot read the files for Envoy's bootstrap");
  return {
    override,
    ...(kind === "custom" ? { custom: own } : { template: own }),
    resolved: kind === "custom" ? new Map() : await resolveStatsd(config),
  };
}

function readUserFile(path: string, problems: Problems): string | undefined {
  try {
    const text = readText(path);
    if (text === undefined) problems.add(path, "there is no such file; give the path of one that the proxy may read");
    return text;
  } catch (error) {
    problems.add(path, `cannot read it: ${describeError(error)}; give a file that the proxy may read`);
    return undefined;
  }
}

async function resolveStatsd({ proxy, envoy }: AgentConfig): Promise<ReadonlyMap<string, string>> {
  const host = hostPort(proxy.statsdUdpAddress ?? "")?.host;
  if (host === undefined || isAddress(host)) return new Map();
  const family = envoy.families === "dual" ? "any" : envoy.families;
  const found = await within(realClock, LOOK_UP_WITHIN, addressOf(host, family));
  return new Map(found.timedOut || found.value === undefined ? [] : [[host, found.value]]);
}

/**
 * Writes the bootstrap of an epoch, whole and then renamed, for our user alone (0600), and gives its path. One file an
 * epoch: while two Envoys live each has its own. A user's file that is used as it is, is not written again.
 * Unavailable says what is wrong with the directory.
 */
export function writeBootstrap(rendered: RenderedBootstrap, directory: string, epoch: number): string {
  if (rendered.usedAsItIs !== undefined) return rendered.usedAsItIs;
  const path = fileOf(directory, epoch, rendered.format);
  try {
    ensureDirectory(directory, 0o700);
    writeWhole(path, rendered.text, 0o600);
    return path;
  } catch (error) {
    throw new Unavailable(
      `cannot write "${path}": ${describeError(error)}; ${remedies[errorCode(error) ?? ""] ?? elsewhere}`,
      {
        cause: error,
      },
    );
  }
}

/** Removes a file that writeBootstrap wrote; one that is gone already is fine. Not for a user's own file. */
export const removeBootstrap = (path: string): void => removeFile(path);

const fileOf = (directory: string, epoch: number, format: RenderedBootstrap["format"]): string =>
  `${directory}/envoy-rev${epoch}.${format}`;

const elsewhere = "give another directory by --configPath";
const noRight = `let the proxy's user write there, or ${elsewhere}`;
const noRoom = "make room on that volume, or raise its size limit";
const noDirectory = "give a directory by --configPath that exists or can be made";

const remedies: Readonly<Record<string, string>> = {
  EROFS: `mount a writable volume there (injection mounts an emptyDir), or ${elsewhere}`,
  EACCES: noRight,
  EPERM: noRight,
  ENOSPC: noRoom,
  EDQUOT: noRoom,
  ENOENT: noDirectory,
  ENOTDIR: noDirectory,
  EEXIST: noDirectory,
};
