import { FlagReader } from "../config/flag-reader.ts";
import { readLogSettings } from "../config/log-settings.ts";
import { type ControlPlaneOptions, startControlPlane } from "../control-plane/control-plane.ts";
import { type Faults, wrongAnswers } from "../control-plane/faults.ts";
import { Unavailable } from "../foundation/errors.ts";
import { exitCodes } from "../foundation/exit-codes.ts";
import { createLog, type Log } from "../foundation/log.ts";
import { Problems } from "../foundation/problems.ts";
import { grpcStatus } from "../protocol/grpc-status.ts";
import { realClock } from "../system/clock.ts";
import { onSignals } from "../system/early-signals.ts";
import { readText } from "../system/files.ts";
import { inCheckout } from "../system/own-program.ts";
import type { Call } from "./command.ts";

const SERVER_NAMES = ["istiod.istio-system.svc", "localhost", "127.0.0.1"];
const DAY = 86_400_000;

/** `control-plane`: serves until it is asked to stop. */
export async function run(call: Call): Promise<number> {
  const problems = new Problems();
  const flags = new FlagReader(call.flags.values, problems);
  const settings = readLogSettings(flags);
  const log = createLog({
    json: settings.json,
    level: settings.levels.get("default") ?? "info",
    scopes: settings.levels,
    write: call.out,
    now: () => realClock.wall(),
  }).scoped("control-plane");
  const options = optionsOf(flags, call, log);
  const faults = faultsOf(flags, problems);
  problems.throwIfAny('cannot run "control-plane"');
  const asked = Promise.withResolvers<string>();
  const off = onSignals((signal) => {
    if (signal === "SIGTERM" || signal === "SIGINT") asked.resolve(signal);
  });
  const plane = await startControlPlane(options);
  plane.setFaults(faults);
  log.info("serving certificates and configuration", {
    host: options.host,
    port: plane.tlsPort,
    plainPort: plane.plainPort,
    root: `${options.directory}/root-cert.pem`,
  });
  log.info("stopping", { signal: await asked.promise });
  await plane.close();
  off();
  return exitCodes.ok;
}

/** Envoy's messages, which the build puts beside the bundle. */
function envoyDescriptors(): string {
  const path = inCheckout("dist/envoy-descriptors.json");
  const text = readText(path);
  if (text === undefined) throw new Unavailable(`cannot find "${path}"; run "npm run setup" first`);
  return text;
}

function optionsOf(flags: FlagReader, call: Call, log: Log): ControlPlaneOptions {
  const port = (name: string, fallback: number): number | undefined => {
    const value = flags.integer(name, -1, 65_535) ?? fallback;
    return value < 0 ? undefined : value;
  };
  const [resources, tokenFile] = [flags.text("resources"), flags.text("tokenFile")];
  return {
    directory: flags.text("directory") ?? "./control-plane",
    host: flags.text("host") ?? "127.0.0.1",
    tlsPort: port("port", 15_012),
    plainPort: port("plainPort", 15_010),
    serverNames: call.flags.values.get("serverName") ?? SERVER_NAMES,
    ...(resources === undefined ? {} : { resources }),
    ...(tokenFile === undefined ? {} : { tokenFile }),
    descriptors: envoyDescriptors,
    maxLifetime: flags.duration("maxLifetime") ?? DAY,
    clock: realClock,
    log,
  };
}

function faultsOf(flags: FlagReader, problems: Problems): Faults {
  const calls = (name: string): "ca" | "ads" | "all" | undefined => {
    const text = flags.text(name);
    if (text === undefined || text === "ca" || text === "ads" || text === "all") return text;
    problems.add(`--${name}`, `"${text}" is not known; use ca, ads or all`);
    return undefined;
  };
  const [hang, refuse] = [calls("faultHang"), calls("faultRefuse")];
  const [delay, lifetime] = [flags.duration("faultDelay"), flags.duration("faultLifetime")];
  const dropAfter = flags.integer("faultDropAfter", 0, Number.MAX_SAFE_INTEGER);
  const given = flags.text("faultAnswer");
  const answer = wrongAnswers.find((one) => one === given);
  if (given !== undefined && answer === undefined)
    problems.add("--faultAnswer", `"${given}" is not known; use ${wrongAnswers.join(", ")}`);
  return {
    ...(hang === undefined ? {} : { hang }),
    ...(refuse === undefined
      ? {}
      : { refuse: { calls: refuse, code: grpcStatus.unavailable, text: "refused by --faultRefuse" } }),
    ...(delay === undefined ? {} : { delay }),
    ...(answer === undefined ? {} : { answer }),
    ...(lifetime === undefined ? {} : { lifetime }),
    ...(dropAfter === undefined ? {} : { dropAfter }),
  };
}
