/** Which of Envoy's listeners are ours, and which serve the application's way out. By port. */
export interface ListenerRoles {
  /** Readiness, statistics: their connections are probes and scrapers. */
  readonly own: ReadonlySet<number>;
  /** Where the application's outgoing connections arrive (proxyListenPort); nobody calls us there from outside. */
  readonly outbound: ReadonlySet<number>;
}

export interface ConnectionCounts {
  /** Open connections on every listener that is not ours, with those that its listener filters still look at. */
  readonly active: number;
  /** Open connections on listeners that are called from outside. */
  readonly inboundActive: number;
  /** Connections that listeners called from outside have accepted in their life. */
  readonly inboundTotal: number;
}

interface ListenerStat {
  readonly address: string;
  readonly what: "active" | "total";
  readonly value: number;
}

/**
 * Reads `listener.<address>.downstream_{cx_active,pre_cx_active,cx_total}: N` (Envoy: statistics of listeners). The
 * address is written with "_" for ":" ("0.0.0.0_15006", "[__]_15021"); worker statistics are parts of the same sum and
 * left out, internal listeners and the admin are nobody's connection from outside. A connection that listener filters
 * look at (`pre_cx`: it has said too little so far) is in neither of the others, and its caller waits for us all the same.
 */
export function countConnections(text: string, roles: ListenerRoles): ConnectionCounts {
  let [active, inboundActive, inboundTotal] = [0, 0, 0];
  for (const stat of text.split("\n").flatMap(readStat)) {
    const port = portOf(stat.address);
    if (roles.own.has(port)) continue;
    const inbound = !roles.outbound.has(port) && !isLoopback(stat.address);
    if (stat.what === "active") {
      active += stat.value;
      if (inbound) inboundActive += stat.value;
    } else if (inbound) {
      inboundTotal += stat.value;
    }
  }
  return { active, inboundActive, inboundTotal };
}

function readStat(line: string): readonly ListenerStat[] {
  const found = /^listener\.(.+)\.downstream_(cx_active|pre_cx_active|cx_total): (\d+)$/.exec(line.trim());
  if (found === null) return [];
  const [, address = "", what, value] = found;
  if (/\.(worker_\d+|main_thread)$/.test(address) || address.startsWith("envoy_internal_") || address === "admin")
    return [];
  return [{ address, what: what === "cx_total" ? "total" : "active", value: Number(value) }];
}

/** A listener on a path or with a stat prefix of its own has no port: -1, which is nobody's. */
function portOf(address: string): number {
  const found = /_(\d+)$/.exec(address);
  return found === null ? -1 : Number(found[1]);
}

const isLoopback = (address: string): boolean => address.startsWith("127.") || address.startsWith("[__1]_");
