import type { Identity } from "../system/probe-sockets.ts";
import { effectiveGid, effectiveUid } from "../system/process.ts";
import type { CaptureOptions, IdRange } from "./capture-options.ts";
import type { Dialer } from "./probes.ts";
import { capability, hasCapability, type World } from "./world.ts";

/** Ids that no user has, tried first for "the application". */
const firstChoice = 64_001;

/** As whom to dial: `self` as we are, an identity to become, or undefined when we may not. */
export type DialAs = "self" | Identity | undefined;

const within = (ranges: readonly IdRange[], id: number): boolean =>
  ranges.some((one) => one.from <= id && id <= one.to);

/** A group that is captured: one of those listed, or any, but neither excluded nor the proxy's. */
function capturedGid(options: CaptureOptions): number | undefined {
  const free = (gid: number): boolean => !options.proxyGids.includes(gid) && !within(options.excludeOwnerGroups, gid);
  const candidates =
    options.ownerGroups === "all"
      ? Array.from({ length: 200 }, (_, index) => firstChoice + index)
      : options.ownerGroups.flatMap((one) => [one.from, one.to]);
  return candidates.find(free);
}

const capturedUid = (options: CaptureOptions): number =>
  [
    firstChoice,
    firstChoice + 1,
    firstChoice + 2,
    ...Array.from({ length: 100 }, (_, index) => firstChoice + 3 + index),
  ].find((uid) => !options.proxyUids.includes(uid)) ?? firstChoice;

/** Works out who may dial for whom. */
export function identityFor(dialer: Dialer, options: CaptureOptions, world: World): DialAs {
  const may = hasCapability(world, capability.setuid) && hasCapability(world, capability.setgid);
  const [uid, gid] = [effectiveUid(), effectiveGid()];
  const other = capturedGid(options);
  if (dialer.is === "outside") return undefined;
  if (dialer.is === "proxy") {
    // Held by one of the two only, so that each rule is asked for itself.
    const wanted = { uid: dialer.uid ?? capturedUid(options), gid: dialer.gid ?? other ?? firstChoice };
    if (may) return wanted;
    return uid === dialer.uid || gid === dialer.gid ? "self" : undefined;
  }
  if (may && other !== undefined) return { uid: capturedUid(options), gid: other };
  const mine =
    options.proxyUids.includes(uid) || options.proxyGids.includes(gid) || within(options.excludeOwnerGroups, gid);
  const listed = options.ownerGroups === "all" || within(options.ownerGroups, gid);
  return !mine && listed ? "self" : undefined;
}
