import type { EnvoyProcess } from "../helpers/restarts/restarts.ts";
import type { SoakScene } from "./scene.ts";

export interface Fault {
  readonly name: string;
  readonly weight: number;
  readonly make: (scene: SoakScene) => Promise<void>;
}

type Choice = (all: readonly EnvoyProcess[]) => EnvoyProcess | undefined;
const newest: Choice = (all) => all[0];
const oldest: Choice = (all) => all.at(-1);

/** A restart, and SIGKILL to one of the two at some moment of it. */
const killed =
  (ask: (scene: SoakScene) => Promise<void>, which: Choice, name: string) =>
  async (scene: SoakScene): Promise<void> => {
    await ask(scene);
    // Checked, exec'ed, initializing, live, draining: all within the first two seconds.
    await scene.wait(0, 2_000);
    await scene.kill(which, name);
  };

const stopped =
  (ask: (scene: SoakScene) => Promise<void>, which: Choice, name: string, span?: readonly [number, number]) =>
  async (scene: SoakScene): Promise<void> => {
    await ask(scene);
    await scene.wait(0, 1_000);
    await scene.stop(which, name, span);
  };

const hotRestart = async ({ rig }: SoakScene): Promise<void> => rig.proxy.signal("SIGHUP");
/** Its outcome comes later; the answer of this moment says only that it was heard. */
const swap = async ({ rig }: SoakScene): Promise<void> => void (await rig.command("--strategy", "swap"));
const nothing = async (): Promise<void> => undefined;

interface Sockets {
  static_resources: { listeners: object[] };
}

/** Rewrites the configuration, asks for a restart, and puts it back. */
const misconfigured =
  (spoil: (bootstrap: object) => object) =>
  async (scene: SoakScene): Promise<void> => {
    let good: object = {};
    scene.rig.rewrite((bootstrap) => {
      good = structuredClone(bootstrap);
      return spoil(bootstrap);
    });
    scene.say((await scene.rig.command("--wait")).said);
    scene.rig.rewrite(() => good);
    await hotRestart(scene);
  };

/** Envoy's validation binds nothing, so only a start finds out that nobody has this address. */
function unboundListener(bootstrap: object): object {
  const { static_resources } = structuredClone(bootstrap) as unknown as Sockets;
  const address = { socket_address: { address: "203.0.113.9", port_value: 1 } };
  const listeners = [...static_resources.listeners, { name: "nowhere", address, filter_chains: [{}] }];
  return { ...bootstrap, static_resources: { ...static_resources, listeners } };
}

export const faults: readonly Fault[] = [
  { name: "hot restart", weight: 4, make: hotRestart },
  {
    name: "a burst of wishes",
    weight: 2,
    make: async (scene) => {
      for (let count = scene.random.between(2, 6); count > 0; count -= 1) {
        await hotRestart(scene);
        await scene.wait(0, 400);
      }
    },
  },
  { name: "swap", weight: 3, make: swap },
  { name: "Envoy killed", weight: 3, make: (scene) => scene.kill(newest, "Envoy killed") },
  { name: "newest killed in a hot restart", weight: 4, make: killed(hotRestart, newest, "newest killed") },
  { name: "parent killed in a hot restart", weight: 4, make: killed(hotRestart, oldest, "parent killed") },
  { name: "newest killed in a swap", weight: 2, make: killed(swap, newest, "newest killed in a swap") },
  { name: "old one killed in a swap", weight: 2, make: killed(swap, oldest, "old one killed in a swap") },
  {
    name: "both killed",
    weight: 2,
    make: async (scene) => {
      await hotRestart(scene);
      await scene.wait(0, 1_500);
      await scene.kill(newest, "both killed: newest");
      await scene.kill(oldest, "both killed: oldest");
    },
  },
  { name: "Envoy stands still for a while", weight: 2, make: stopped(nothing, newest, "Envoy stopped", [200, 6_000]) },
  { name: "parent stands still", weight: 2, make: stopped(hotRestart, oldest, "parent stopped", [200, 8_000]) },
  { name: "newest stands still", weight: 2, make: stopped(hotRestart, newest, "newest stopped", [200, 8_000]) },
  { name: "parent hangs for ever", weight: 2, make: stopped(hotRestart, oldest, "parent hung") },
  { name: "newest hangs for ever", weight: 1, make: stopped(hotRestart, newest, "newest hung") },
  {
    name: "a configuration that is refused",
    weight: 1,
    make: misconfigured((bootstrap) => ({ ...bootstrap, stats_flush_interval: "never" })),
  },
  { name: "a configuration that cannot be started", weight: 1, make: misconfigured(unboundListener) },
];
