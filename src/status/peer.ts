/**
 * Who asks. A connection from true loopback comes from this pod (or this machine) and may do more than the network.
 * 127.0.0.6 and ::6 do not count: they are the source of Envoy's inbound side, so whoever is behind them came from
 * outside. A unix peer counts when its credentials are ours or root's.
 */
export type Peer = "network" | "loopback" | "socket" | "foreign-socket";

/** Envoy's source for inbound connections (Istio: upstream local address of the inbound passthrough cluster). */
const ENVOY_INBOUND = "127.0.0.6";

/** Peer of a TCP connection by its remote address, as Node writes it; undefined when it is already gone. */
export function tcpPeer(remoteAddress: string | undefined): "network" | "loopback" {
  if (remoteAddress === undefined) return "network";
  const address = plainAddress(remoteAddress.toLowerCase());
  if (address === "::1") return "loopback";
  return /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address) && address !== ENVOY_INBOUND ? "loopback" : "network";
}

/** `::ffff:127.0.0.1` and `::ffff:7f00:1` are 127.0.0.1 on a socket that serves both families. */
export function plainAddress(address: string): string {
  const dotted = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1];
  if (dotted !== undefined) return dotted;
  const hex = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(address);
  if (hex === null) return address;
  const [high, low] = [Number.parseInt(hex[1] ?? "", 16), Number.parseInt(hex[2] ?? "", 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/**
 * Peer of a unix connection. Without credentials (no native calls on this machine) the file's mode 0600 is what keeps
 * others out, so whoever got in is one of us.
 */
export function socketPeer(credentials: { readonly uid: number } | undefined, ownUid: number): Peer {
  if (credentials === undefined) return "socket";
  return credentials.uid === ownUid || credentials.uid === 0 ? "socket" : "foreign-socket";
}

/** Whether this peer may do what changes or reveals. */
export const isTrusted = (peer: Peer): boolean => peer === "loopback" || peer === "socket";

/**
 * A web page that is open in a browser of this machine can send requests to loopback, too. A browser says where a
 * request comes from: anything but the page itself, or a person who typed the address, is refused, and so is a name
 * that somebody else's DNS may point at us.
 */
export function fromForeignPage(headers: Readonly<Record<string, string | readonly string[] | undefined>>): boolean {
  const { origin, host, "sec-fetch-site": site } = headers;
  if (origin === undefined && site === undefined) return false;
  if (site !== undefined && site !== "same-origin" && site !== "none") return true;
  const name = String(host ?? "").replace(/:\d+$/, "");
  if (!/^(localhost|\[[0-9a-f:.]+\]|\d+\.\d+\.\d+\.\d+)$/i.test(name)) return true;
  return origin !== undefined && origin !== `http://${String(host)}`;
}
