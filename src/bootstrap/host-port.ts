/** One address as people write it: `zipkin.istio-system:9411`, `10.0.0.1:80`, `[fd00::1]:80`. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Splits it; undefined when it is none. Brackets are taken off. */
export function hostPort(text: string): HostPort | undefined {
  const found = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const host = found?.[1] ?? found?.[2];
  const port = Number(found?.[3]);
  if (host === undefined || port < 1 || port > 65_535) return undefined;
  return { host, port };
}

const octet = "(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)";
const ipv4 = new RegExp(`^${octet}(?:\\.${octet}){3}$`);

export const isIPv4 = (text: string): boolean => ipv4.test(text);

/** Good enough to tell an address from a name: hexadecimal groups and at least two colons. */
export const isIPv6 = (text: string): boolean => /^[\da-f:.]+$/i.test(text) && text.split(":").length > 2;

export const isAddress = (text: string): boolean => isIPv4(text) || isIPv6(text);
