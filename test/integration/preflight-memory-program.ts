import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createLaunches } from "../../src/agent/envoy-launches.ts";
import { noLog } from "../../src/foundation/log.ts";
import type { Serving } from "../../src/process/launch.ts";
import { realClock } from "../../src/system/clock.ts";
import type { ExitReport } from "../../src/system/programs.ts";
import { agentConfig } from "../fakes/agent-config.ts";
import { eventually } from "../helpers/eventually.ts";
import { envoy, temporaryFolder } from "../helpers/paths.ts";
import { ask } from "../helpers/proxy.ts";
import { staticBootstrap } from "../helpers/static-bootstrap.ts";

/**
 * Runs in a memory group of its own, with an Envoy in it: LIMIT-FILE USAGE-FILE ADMIN-PORT. Prints the preflight's word
 * with a tight limit, and with one that leaves room.
 */
const [limitFile = "", usageFile = "", port = ""] = process.argv.slice(2);
const MIB = 1024 * 1024;
const folder = temporaryFolder("preflight-memory");
const custom = join(folder.path, "custom.json");
writeFileSync(custom, JSON.stringify(staticBootstrap({ adminPort: Number(port) })));
const config = agentConfig({
  args: ["--configPath", join(folder.path, "proxy"), "--customConfigFile", custom, "--concurrency", "1"],
  env: { PILOTFISH_ENVOY: envoy },
});
const launches = await createLaunches({
  config,
  env: new Map([["PATH", process.env["PATH"] ?? ""]]),
  log: noLog,
  clock: realClock,
  reread: () => Promise.resolve(config),
  controlPlane: () => undefined,
});
const { first, prepare } = launches;
const gone = Promise.withResolvers<ExitReport>();
const program = first.start({ epoch: 0, hotRestart: undefined, adminPath: undefined }, gone.resolve);
await eventually("it is LIVE", async () => (await ask({ port: Number(port) }, "/ready")).status === 200);
await first.settle();
const { digest, hotRestartVersion } = first;
const serving: Serving = { pid: program.pid, digest, hotRestartVersion, hotRestart: true };

async function tell(room: number): Promise<void> {
  // In use as the kernel counts it; pages that it can take back make more room than this, so it has to be little.
  writeFileSync(limitFile, String(Number(readFileSync(usageFile, "utf8")) + room));
  const how = { cause: "test", strategy: "auto", explicit: true, ignoreMemory: false } as const;
  const { launch: _, ...said } = { launch: undefined, ...(await prepare(how, serving)) };
  process.stdout.write(`${JSON.stringify(said)}\n`);
}

await tell(4 * MIB);
await tell(200 * MIB);
launches.discardAll();
program.signalGroup("SIGKILL");
await gone.promise;
folder.done();
process.exit(0);
