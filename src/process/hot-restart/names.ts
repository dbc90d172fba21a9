import type { Log } from "../../foundation/log.ts";
import type { Clock } from "../../foundation/time.ts";

/**
 * Names of Envoy's hot-restart sockets and shared memory. `--socket-path` gives the prefix; the number after the role is
 * base-id * 10 + epoch modulo 3, so a name comes back three epochs later.
 */
export interface Lineage {
  /** Value of `--socket-path`: a path inside a directory of mode 0700 (hot-restart.md 12). */
  readonly prefix: string;
  /** Value of `--base-id`. */
  readonly baseId: number;
}

/** Whom a part of hot-restart/ speaks to or stands in for. */
export interface Place extends Lineage {
  readonly epoch: number;
  readonly clock: Clock;
  readonly log: Log;
}

export type SocketRole = "parent" | "child";

/** Full name of a socket of one epoch: the path that Envoy binds (`<prefix>_<role>_<number>`). */
export function socketName(lineage: Lineage, role: SocketRole, epoch: number): string {
  return `${lineage.prefix}_${role}_${printed(lineage.baseId * 10 + (epoch % 3))}`;
}

/** Envoy has the number as 32 bits with a sign and prints it as 64 without: seen from a base-id of 214748365 on. */
const printed = (number: number): string => BigInt.asUintN(64, BigInt(number | 0)).toString();

/** Every socket file that epochs of this lineage can leave behind, those of UDP included. */
export function allSocketNames(lineage: Lineage): readonly string[] {
  return [0, 1, 2].flatMap((epoch) =>
    (["parent", "child"] as const).flatMap((role) => [
      socketName(lineage, role, epoch),
      socketName({ ...lineage, prefix: `${lineage.prefix}_udp` }, role, epoch),
    ]),
  );
}

/** The longest prefix for which every name fits into a socket's address (107 bytes), with the longest number. */
export const LONGEST_PREFIX = 107 - "_udp_parent_".length - "18446744073709551615".length;
