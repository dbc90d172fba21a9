/**
 * The addresses that a host of a URL stands for, to be tried in this order. `localhost` is both families without a
 * resolver: a small image may have no /etc/hosts, and a pod has either family.
 */
export function addressesOf(host: string): readonly string[] {
  if (host === "localhost") return ["127.0.0.1", "::1"];
  return [host.replace(/^\[|\]$/g, "")];
}

/** Error codes that mean that nobody listens at an address, so that the next one is worth a try. */
export const nobodyThere: readonly string[] = ["ECONNREFUSED", "ENOENT", "EACCES", "EADDRNOTAVAIL", "EAFNOSUPPORT"];
