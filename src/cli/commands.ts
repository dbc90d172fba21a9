import { InvalidConfig } from "../foundation/errors.ts";
import type { Command } from "./command.ts";
import { bootstrapCommand } from "./commands/bootstrap.ts";
import { completionCommand } from "./commands/completion.ts";
import { controlPlaneCommand } from "./commands/control-plane.ts";
import { demoCommand } from "./commands/demo.ts";
import { helpCommand } from "./commands/help.ts";
import { hotRestartCommand } from "./commands/hot-restart.ts";
import { injectCommand } from "./commands/inject.ts";
import { installCommand } from "./commands/install.ts";
import { iptablesCommand } from "./commands/iptables.ts";
import { proxyCommand } from "./commands/proxy.ts";
import { requestCommand } from "./commands/request.ts";
import { statusCommand } from "./commands/status.ts";
import { versionCommand } from "./commands/version.ts";
import { waitCommand } from "./commands/wait.ts";
import { webhookCommand } from "./commands/webhook.ts";
import { nearMiss } from "./near-miss.ts";

/**
 * Every command of the program, in the order of the help. A module below commands/ holds a light table; what it runs is
 * loaded when it is called. A new command is a new line here.
 */
export const commands: readonly Command[] = [
  proxyCommand,
  waitCommand,
  requestCommand,
  iptablesCommand,
  injectCommand,
  webhookCommand,
  statusCommand,
  hotRestartCommand,
  bootstrapCommand,
  controlPlaneCommand,
  demoCommand,
  installCommand,
  versionCommand,
  completionCommand,
  helpCommand,
];

/** The command of that name or further name; InvalidConfig with the nearest name when there is none. */
export function commandNamed(table: readonly Command[], name: string): Command {
  const command = table.find((one) => one.name === name || one.aliases?.includes(name) === true);
  if (command !== undefined) return command;
  const names = table.filter((one) => one.hidden !== true).flatMap((one) => [one.name, ...(one.aliases ?? [])]);
  const near = nearMiss(name, names);
  const suggestion = near === undefined ? "" : `did you mean "${near}"? `;
  throw new InvalidConfig(
    [{ name, text: `there is no such command; ${suggestion}"pilotfish help" lists them` }],
    "cannot run this",
  );
}
