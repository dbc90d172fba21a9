import { preciseNow } from "../helpers/load/load.ts";
import { heldSockets } from "../helpers/restarts/leaks.ts";
import type { EnvoyProcess } from "../helpers/restarts/restarts.ts";
import type { RestartRig } from "../helpers/restarts/rig.ts";
import type { Random } from "./random.ts";
import type { Window } from "./windows.ts";

/** One run of the soak: what the faults work on. */
export class SoakScene {
  readonly rig: RestartRig;
  readonly random: Random;
  readonly windows: Window[] = [];

  constructor(rig: RestartRig, random: Random) {
    this.rig = rig;
    this.random = random;
  }

  wait(from: number, to: number): Promise<void> {
    const span = this.random.between(from, to);
    return new Promise((resolve) => setTimeout(resolve, span));
  }

  say(text: string): void {
    process.stdout.write(`${new Date().toISOString().slice(11, 23)}   ${text}\n`);
  }

  /** Opens a window that is closed when everything is quiet again. */
  open(fault: string, what: Window["what"]): Window {
    const window: Window = { fault, from: preciseNow(), to: undefined, what };
    this.windows.push(window);
    return window;
  }

  closeWindows(): void {
    for (const one of this.windows) one.to ??= preciseNow();
  }

  /** SIGKILL to one of Envoy's processes; what that makes unavoidable is judged by who is left. */
  async kill(which: (all: readonly EnvoyProcess[]) => EnvoyProcess | undefined, name: string): Promise<void> {
    const all = await this.rig.envoys();
    const victim = which(all);
    if (victim === undefined) return this.say(`${name}: nobody to kill`);
    const kept = heldSockets(this.rig.proxy.pid, this.rig.ports.listener) > 0;
    // One that is live and not draining accepts on the same ports.
    const others = all.some((one) => one !== victim && ["live", "on probation"].includes(one.state));
    const safe = kept || others;
    this.open(name, safe ? "in-flight" : "outage");
    this.say(`${name}: epoch ${victim.epoch} (${victim.state}), ${safe ? "" : "nobody else accepts"}`);
    try {
      process.kill(victim.pid, "SIGKILL");
    } catch {
      this.say("it had gone");
    }
  }

  /** SIGSTOP for a while, or for ever. */
  async stop(
    which: (all: readonly EnvoyProcess[]) => EnvoyProcess | undefined,
    name: string,
    span: readonly [number, number] | undefined,
  ): Promise<void> {
    const victim = which(await this.rig.envoys());
    if (victim === undefined) return this.say(`${name}: nobody to stop`);
    this.open(name, "standing");
    this.say(`${name}: epoch ${victim.epoch} (${victim.state})`);
    try {
      process.kill(victim.pid, "SIGSTOP");
      if (span === undefined) return;
      await this.wait(...span);
      process.kill(victim.pid, "SIGCONT");
    } catch {
      this.say("it had gone");
    }
  }
}
