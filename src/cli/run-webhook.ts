import { FlagReader } from "../config/flag-reader.ts";
import { readLogSettings } from "../config/log-settings.ts";
import { createLog } from "../foundation/log.ts";
import { Problems } from "../foundation/problems.ts";
import { ensureOwnCertificate, ownFiles } from "../inject/webhook-certificate.ts";
import { runWebhook, type WebhookPlan } from "../inject/webhook-run.ts";
import { realClock } from "../system/clock.ts";
import { onSignals } from "../system/early-signals.ts";
import { buildInfo } from "./build-info.ts";
import type { Call } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";

/** How long reviews that have begun may take once we are asked to stop. */
const PATIENCE = 5_000;

/** `webhook`: serves until it is asked to stop. */
export async function run(call: Call): Promise<number> {
  const problems = new Problems();
  const flags = new FlagReader(call.flags.values, problems);
  const plan = planOf(flags, call);
  const settings = readLogSettings(flags);
  const onlyMake = flags.text("makeCertificate");
  problems.throwIfAny('cannot run "webhook"');
  if (onlyMake !== undefined) return makeCertificate(onlyMake, plan, call);
  const log = createLog({
    json: settings.json,
    level: settings.levels.get("default") ?? "info",
    scopes: settings.levels,
    write: call.out,
    now: () => realClock.wall(),
  }).scoped("webhook");
  const asked = Promise.withResolvers<string>();
  const off = onSignals((signal) => {
    if (signal === "SIGTERM" || signal === "SIGINT") asked.resolve(signal);
  });
  const running = await runWebhook(plan, realClock, log);
  const { port, monitoringPort } = running.webhook;
  log.info("serving reviews", { host: plan.host, port, monitoringPort });
  log.info("stopping", { signal: await asked.promise });
  await running.stop(PATIENCE);
  off();
  return exitCodes.ok;
}

function planOf(flags: FlagReader, call: Call): WebhookPlan {
  const monitoring = flags.integer("monitoringPort", -1, 65_535) ?? 15_014;
  const selfMade = flags.text("selfMade");
  const folder = selfMade ?? "./etc/webhook";
  const names = call.flags.values.get("serverName") ?? ["pilotfish-webhook.pilotfish-system.svc"];
  return {
    host: flags.text("host") ?? "0.0.0.0",
    port: flags.integer("port", 0, 65_535) ?? 9_443,
    monitoringPort: monitoring < 0 ? undefined : monitoring,
    certificate:
      selfMade === undefined
        ? (flags.text("cert") ?? `${folder}/${ownFiles.certificate}`)
        : `${folder}/${ownFiles.certificate}`,
    key: selfMade === undefined ? (flags.text("key") ?? `${folder}/${ownFiles.key}`) : `${folder}/${ownFiles.key}`,
    selfMade,
    serverNames: names,
    config: flags.text("config"),
    sets: call.flags.values.get("set") ?? [],
    limits: {
      body: flags.integer("maxBody", 1_024, 64 * 1024 * 1024) ?? 4 * 1024 * 1024,
      time: flags.duration("requestTimeout") ?? 10_000,
      connections: 512,
    },
    version: buildInfo().version,
  };
}

function makeCertificate(folder: string, plan: WebhookPlan, call: Call): number {
  const written = ensureOwnCertificate(folder, plan.serverNames, realClock.wall());
  for (const path of written) call.out(`${path}\n`);
  if (written.length === 0) call.err(`pilotfish: "${folder}" holds a good certificate already\n`);
  return exitCodes.ok;
}
