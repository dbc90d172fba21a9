import { idsOf, nameserversOf, type PodFacts } from "./facts.ts";
import type { Names } from "./read-options.ts";
import type { World } from "./world.ts";

/** Looks at the pod: addresses and nameservers. Changes nothing and needs no rights. */
export async function readFacts(world: World): Promise<PodFacts> {
  return {
    addresses: await world.addresses(),
    nameservers: nameserversOf(world.read("/etc/resolv.conf") ?? ""),
  };
}

/** The users and groups of this container's /etc. */
export const readNames = (world: World): Names => ({
  users: idsOf(world.read("/etc/passwd") ?? ""),
  groups: idsOf(world.read("/etc/group") ?? ""),
});
