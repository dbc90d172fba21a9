import { expect, test } from "vitest";
import { askRestart } from "../../src/agent/ask-restart.ts";
import { signalMeaning } from "../../src/agent/stop-signals.ts";
import { type Log, noLog } from "../../src/foundation/log.ts";
import type { EnvoyPort } from "../../src/process/envoy-port.ts";
import type { RestartAsk, RestartOutcome } from "../../src/process/launch.ts";

/** One line in the log for each outcome, and what a SIGHUP asks for. */
function recorder(): { readonly log: Log; readonly lines: unknown[] } {
  const lines: unknown[] = [];
  const at = (level: string) => (text: string, facts?: object) => lines.push([level, text, facts]);
  return { log: { ...noLog, info: at("info"), warn: at("warn"), error: at("error") }, lines };
}

const ask: RestartAsk = { cause: "POST /hot-restart", strategy: "auto", explicit: true, ignoreMemory: false };
const cause = ask.cause;

test.each<[RestartOutcome, readonly unknown[]]>([
  [
    { is: "restarted", by: "hot-restart", epoch: 2, took: 101.6 },
    ["info", "Envoy hot-restarted", { cause, epoch: 2, took: 102 }],
  ],
  [
    { is: "restarted", by: "swap", epoch: 0, took: 10_000 },
    ["info", "Envoy swapped", { cause, epoch: 0, took: 10_000 }],
  ],
  [{ is: "unchanged" }, ["info", "Envoy runs on: it would be started with the same", { cause }]],
  [{ is: "refused", why: "x" }, ["warn", "Restart of Envoy refused; nothing was touched", { cause, why: "x" }]],
  [{ is: "failed", why: "x" }, ["error", "Restart of Envoy failed; the one before serves on", { cause, why: "x" }]],
  [{ is: "overtaken", why: "x" }, ["info", "Restart of Envoy left out", { cause, why: "x" }]],
])("%j", async (outcome, line) => {
  const { log, lines } = recorder();
  expect(await askRestart({ restart: () => Promise.resolve(outcome) }, log, ask)).toBe(outcome);
  expect(lines).toEqual([line]);
});

test("SIGHUP asks for a new Envoy whatever it would be started with", async () => {
  const asks: RestartAsk[] = [];
  const { log, lines } = recorder();
  const restart = (how: RestartAsk): Promise<RestartOutcome> => {
    asks.push(how);
    return Promise.resolve({ is: "refused", why: "no room" });
  };
  const envoy = { restart } as unknown as EnvoyPort;
  signalMeaning(envoy, log, () => undefined)("SIGHUP");
  await Promise.resolve();
  expect(asks).toEqual([{ cause: "SIGHUP", strategy: "auto", explicit: true, ignoreMemory: false }]);
  expect(lines).toEqual([
    ["info", "Asked for a hot restart", { reason: "SIGHUP" }],
    ["warn", "Restart of Envoy refused; nothing was touched", { cause: "SIGHUP", why: "no room" }],
  ]);
});
