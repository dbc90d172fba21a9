import { describeError, Refused } from "../foundation/errors.ts";
import { within } from "../foundation/time.ts";
import { realClock } from "../system/clock.ts";
import { type HeldNamespace, holdNetworkNamespace } from "../system/network-namespace.ts";
import { type Dial, dialProgram, ownNode } from "../system/probe-sockets.ts";
import { environment, selfPid } from "../system/process.ts";
import type { Family } from "./cidr.ts";
import { callIp } from "./mark-route.ts";
import { capability, failure, hasCapability, succeeded, type World } from "./world.ts";

/** Somebody outside of the pod: a network namespace of our own, joined to the pod's by a pair of interfaces. */
export interface OutsideDialer {
  /** The pod's addresses on that pair. */
  readonly pod: Readonly<Partial<Record<Family, string>>>;
  dial(dials: readonly Dial[]): void;
  /** Ends the processes; the interfaces and the namespace go with them. */
  done(): Promise<void>;
}

/** Addresses of the documentation ranges (RFC 5737, RFC 3849): nobody's. */
const links: Readonly<Record<Family, { readonly pod: string; readonly peer: string; readonly length: number }>> = {
  v4: { pod: "198.51.100.1", peer: "198.51.100.2", length: 30 },
  v6: { pod: "2001:db8:b00c::1", peer: "2001:db8:b00c::2", length: 126 },
};

const READY_WITHIN = 5_000;

/** Somebody outside, or why there can be nobody. Needs CAP_SYS_ADMIN for the namespace. */
export async function makeOutside(
  families: readonly Family[],
  world: World,
): Promise<OutsideDialer | { readonly why: string }> {
  if (!hasCapability(world, capability.sysAdmin)) return { why: "CAP_SYS_ADMIN is missing" };
  if (!hasCapability(world, capability.netAdmin)) return { why: "CAP_NET_ADMIN is missing" };
  const missing = ["ip", "unshare", "nsenter", "setpriv"].find((program) => !world.has(program));
  if (missing !== undefined) return { why: `the program ${missing} is missing` };
  const name = `pfp${selfPid}`;
  let held: HeldNamespace | undefined;
  const done = async (): Promise<void> => {
    // The kernel takes the pair away with the namespace, but not at once: a second run must not meet it.
    await world.run("ip", ["link", "del", name]);
    held?.end();
  };
  try {
    const waited = await within(realClock, READY_WITHIN, holdNetworkNamespace(environment()));
    if (waited.timedOut) return { why: "unshare --net did not answer" };
    const peer = waited.value;
    held = peer;
    await join(name, peer.pid, families, world);
    const pod = Object.fromEntries(families.map((family) => [family, links[family].pod]));
    const dial = (dials: readonly Dial[]): void => {
      const list = JSON.stringify(dials.map(({ host, port, token }) => ({ host, port, token })));
      peer.start(ownNode(), ["-e", dialProgram, list]);
    };
    return { pod, dial, done };
  } catch (error) {
    await done();
    return { why: describeError(error) };
  }
}

async function join(name: string, pid: number, families: readonly Family[], world: World): Promise<void> {
  const inPeer = async (...args: readonly string[]): Promise<void> => {
    const done = await world.run("nsenter", ["-t", String(pid), "-n", "--", "ip", ...args]);
    if (!succeeded(done)) throw new Refused(`cannot run "ip ${args.join(" ")}": ${failure(done)}`);
  };
  await callIp(world, ["link", "add", name, "type", "veth", "peer", "name", name, "netns", String(pid)]);
  for (const family of families) {
    const { pod, peer, length } = links[family];
    const more = family === "v6" ? ["nodad"] : [];
    await callIp(world, ["addr", "add", `${pod}/${length}`, "dev", name, ...more]);
    await inPeer("addr", "add", `${peer}/${length}`, "dev", name, ...more);
  }
  await callIp(world, ["link", "set", name, "up"]);
  await inPeer("link", "set", name, "up");
}
