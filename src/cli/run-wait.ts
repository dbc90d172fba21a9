import { Refused } from "../foundation/errors.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import { chance } from "../system/chance.ts";
import { realClock } from "../system/clock.ts";
import { defaultSignals, onSignals } from "../system/early-signals.ts";
import { signalExitCode } from "../system/foreground-program.ts";
import { exitNow, isPid1 } from "../system/process.ts";
import { isTerminal } from "../system/standard-input.ts";
import type { Call } from "./command.ts";
import { askOf } from "./wait/ask-target.ts";
import { lineOfProgress, linesOfProgress, type Progress } from "./wait/progress.ts";
import { readWait, type WaitPlan } from "./wait/read-wait.ts";
import { type WaitResult, waitUntil } from "./wait-loop.ts";

/** `wait`: 0 when all is ready, 1 (Refused) when the time is over, the command's own code behind `--`. */
export async function run(call: Call): Promise<number> {
  const plan = readWait(call);
  hearSignals();
  const quit = async () => {
    if (plan.quit !== undefined) await (await import("./wait/quit-sidecar.ts")).quitSidecar(plan.quit, call.err);
  };
  try {
    await waitForAll(realClock, plan, call.err, isTerminal(2));
  } catch (error) {
    // A Job whose application never ran must end, too.
    await quit();
    throw error;
  }
  if (plan.command === undefined) return 0;
  const { becomeCommand, runCommand } = await import("./wait/run-command.ts");
  if (plan.quit === undefined) return becomeCommand(plan.command, call);
  const code = await runCommand(plan.command, call);
  await quit();
  return code;
}

/**
 * A signal ends a wait. The kernel gives PID 1 no default action: an init container that is asked to stop would go on
 * until it is killed.
 */
function hearSignals(): void {
  if (isPid1) onSignals((signal) => exitNow(signalExitCode(signal)));
  else defaultSignals();
}

/** Waits for every target of the plan, each on its own, all until the same moment; Refused with each last reason. */
export async function waitForAll(
  clock: Clock,
  plan: WaitPlan,
  write: (text: string) => void,
  terminal: boolean,
): Promise<void> {
  const start = clock.monotonic();
  const progress = terminal ? lineOfProgress(write, start, plan.targets.length) : linesOfProgress(write, start);
  const results = await Promise.all(
    plan.targets.map(async (target) => ({
      name: target.name,
      result: await waitForOne(clock, plan, target, progress),
    })),
  );
  progress.over(clock.monotonic());
  const missing = results.flatMap(({ name, result }) => (result.ready ? [] : [{ name, because: result.because }]));
  if (missing.length > 0) throw new Refused(givenUp(plan.total, missing));
}

async function waitForOne(
  clock: Clock,
  { total, request, period, longest, insecure }: WaitPlan,
  target: WaitPlan["targets"][number],
  progress: Progress,
): Promise<WaitResult> {
  const limits = { total, request, period, ...(longest === undefined ? {} : { growth: { longest, chance } }) };
  const tell = (because: string, now: Millis) => progress.notYet(target.name, because, now);
  const result = await waitUntil(clock, limits, askOf(target, insecure), tell);
  if (result.ready) progress.ready(target.name, clock.monotonic());
  return result;
}

function givenUp(total: Millis, missing: readonly { readonly name: string; readonly because: string }[]): string {
  const within = `not ready within ${total / 1_000} s`;
  const [first] = missing;
  if (missing.length === 1 && first) return `cannot wait any longer for ${first.name}: ${within}: ${first.because}`;
  return `cannot wait any longer: ${within}:\n${missing.map((one) => `  ${one.name}: ${one.because}`).join("\n")}`;
}
