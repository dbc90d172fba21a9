import { describeError, InvalidConfig, type Problem } from "../foundation/errors.ts";
import type { Log } from "../foundation/log.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import { watchFiles } from "../identity/watched-files.ts";
import { readText } from "../system/files.ts";
import type { InjectorConfig } from "./injector-config.ts";
import { parseInjectorConfig } from "./injector-config-text.ts";
import { ensureOwnCertificate, ownFiles, tlsFrom } from "./webhook-certificate.ts";
import { startWebhook, type TlsMaterial, type Webhook, type WebhookLimits } from "./webhook-server.ts";

/** Everything that the command line says about the webhook. */
export interface WebhookPlan {
  readonly host: string;
  readonly port: number;
  readonly monitoringPort: number | undefined;
  readonly certificate: string;
  readonly key: string;
  /** A folder where we make our own certificate; then `certificate` and `key` are in it. */
  readonly selfMade: string | undefined;
  readonly serverNames: readonly string[];
  readonly config: string | undefined;
  readonly sets: readonly string[];
  readonly limits: WebhookLimits;
  readonly version: string;
}

export interface RunningWebhook {
  readonly webhook: Webhook;
  stop(patience: Millis): Promise<void>;
}

/** Kubernetes changes mounted files in several steps. */
const DEBOUNCE: Millis = 200;
const DAY: Millis = 86_400_000;

/** Starts the webhook and keeps its certificate and configuration fresh. Throws InvalidConfig or Unavailable. */
export async function runWebhook(plan: WebhookPlan, clock: Clock, log: Log): Promise<RunningWebhook> {
  let config = readConfig(plan);
  renewOwn(plan, clock, log);
  const webhook = await startWebhook(
    { ...plan, clock, log, config: () => config },
    tlsFrom(readText(plan.certificate), readText(plan.key), filesOf(plan)),
  );
  const trouble = (path: string, why: string): void => log.warn("cannot read a file", { path, why });
  const deps = { clock, debounce: DEBOUNCE, onTrouble: trouble };
  const certificates = watchFiles([plan.certificate, plan.key], {
    ...deps,
    onChange: () => attempt(log, "cannot take the new certificate, the old one stays", () => renew(plan, webhook, log)),
  });
  const settings = watchFiles(plan.config === undefined ? [] : [plan.config], {
    ...deps,
    onChange: () =>
      attempt(log, "cannot take the new configuration, the old one stays", () => {
        config = readConfig(plan);
        log.info("the configuration was read again", { path: plan.config });
      }),
  });
  const stopRenewing = every(DAY, clock, () =>
    attempt(log, "cannot renew the certificate", () => renewOwn(plan, clock, log)),
  );
  return {
    webhook,
    stop: async (patience) => {
      stopRenewing();
      certificates.close();
      settings.close();
      await webhook.stop(patience);
    },
  };
}

const filesOf = (plan: WebhookPlan): string => `"${plan.certificate}" and "${plan.key}"`;

function readConfig(plan: WebhookPlan): InjectorConfig {
  const problems: Problem[] = [];
  const text = plan.config === undefined ? undefined : readText(plan.config);
  if (plan.config !== undefined && text === undefined)
    problems.push({ name: plan.config, text: "there is no such file" });
  const config = parseInjectorConfig(
    { text, path: plan.config ?? "", sets: plan.sets, version: plan.version },
    problems,
  );
  if (problems.length > 0) throw new InvalidConfig(problems, "cannot use the injector's configuration");
  return config;
}

function renew(plan: WebhookPlan, webhook: Webhook, log: Log): void {
  const tls: TlsMaterial = tlsFrom(readText(plan.certificate), readText(plan.key), filesOf(plan));
  webhook.renew(tls);
  log.info("the certificate was read again", { path: plan.certificate, ends: tls.ends.toISOString() });
}

function renewOwn(plan: WebhookPlan, clock: Clock, log: Log): void {
  if (plan.selfMade === undefined) return;
  const written = ensureOwnCertificate(plan.selfMade, plan.serverNames, clock.wall());
  if (written.length > 0)
    log.info("made a certificate of our own", { written, caBundle: `${plan.selfMade}/${ownFiles.ca}` });
}

function attempt(log: Log, what: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    log.error(what, { why: describeError(error) });
  }
}

function every(period: Millis, clock: Clock, work: () => void): () => void {
  let cancel = (): void => undefined;
  const arm = (): void => {
    cancel = clock.after(period, () => {
      work();
      arm();
    });
  };
  arm();
  return () => cancel();
}
