import { readBootstrapFiles, removeBootstrap, writeBootstrap } from "../bootstrap/bootstrap-file.ts";
import { type BootstrapFacts, type RenderedBootstrap, renderBootstrap } from "../bootstrap/render-bootstrap.ts";
import type { AgentConfig } from "../config/agent-config.ts";
import { describeError, Unavailable } from "../foundation/errors.ts";
import { EnvoyAdmin } from "../process/envoy-admin.ts";
import type { LaunchFiles } from "../process/envoy-command-line.ts";
import { ensureDirectory } from "../system/files.ts";

/** The bootstrap of this run: rendered once, written once for each epoch. */
export interface PreparedBootstrap {
  readonly facts: BootstrapFacts;
  readonly notices: readonly string[];
  readonly admin: EnvoyAdmin;
  /** Writes the file of an epoch. Throws Unavailable. */
  readonly write: (epoch: number) => void;
  /** What Envoy of that epoch is started with; `write` came before. */
  readonly of: (epoch: number) => LaunchFiles;
  readonly remove: () => void;
}

export async function prepareBootstrap(config: AgentConfig): Promise<PreparedBootstrap> {
  const rendered = await renderBootstrap(config, await readBootstrapFiles(config));
  const written = new Map<number, string>();
  return {
    facts: rendered.facts,
    notices: rendered.notices,
    admin: adminOf(rendered, config),
    write: (epoch) => {
      // Our socket stands there too, also when the user's own file needs no copy.
      if (rendered.usedAsItIs !== undefined) ensureConfigPath(config.bootstrap.directory);
      written.set(epoch, rendered.usedAsItIs ?? writeBootstrap(rendered, config.bootstrap.directory, epoch));
    },
    of: (epoch) => ({
      bootstrapPath: written.get(epoch) ?? "",
      override: rendered.override,
      setsLogFormat: rendered.facts.setsLogFormat,
    }),
    remove: () => {
      if (rendered.usedAsItIs === undefined) for (const path of written.values()) removeBootstrap(path);
      written.clear();
    },
  };
}

/** Without an admin address nothing answers: every question says so, as for an admin that is silent. */
function adminOf({ facts }: RenderedBootstrap, config: AgentConfig): EnvoyAdmin {
  const at = facts.admin ?? { kind: "tcp", host: "127.0.0.1", port: config.ports.admin };
  return new EnvoyAdmin(at.kind === "tcp" ? { host: at.host, port: at.port } : { socketPath: at.path });
}

function ensureConfigPath(path: string): void {
  try {
    ensureDirectory(path, 0o700);
  } catch (error) {
    throw new Unavailable(
      `cannot make "${path}": ${describeError(error)}; give a directory by --configPath that can be made`,
      {
        cause: error,
      },
    );
  }
}
