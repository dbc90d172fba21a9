import type { Millis } from "../foundation/time.ts";

/** Values as Istio and Go spell them. Every reader gives undefined for a text that it does not accept. */

const unitMillis: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** A Go duration in milliseconds: `1m0s`, `300ms`, `1h30m`, `1.5s`, `-1s`, and a bare `0`. */
export function parseDuration(text: string): Millis | undefined {
  if (/^[+-]?0$/.test(text)) return 0;
  const [, sign, parts = ""] = /^([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+)$/.exec(text) ?? [];
  if (sign === undefined) return undefined;
  let sum = 0;
  for (const [, amount, unit = ""] of parts.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/g)) {
    sum += Number(amount) * (unitMillis[unit] ?? Number.NaN);
  }
  // Sums of binary fractions: 0.1 s + 0.2 s must stay 300 ms. Nobody waits for less than a microsecond.
  const rounded = Math.round(sum * 1e3) / 1e3;
  return sign === "-" ? -rounded : rounded;
}

/** A duration as protobuf's JSON has it: `45s`, `1.500s`. */
export function durationText(duration: Millis): string {
  return duration % 1_000 === 0 ? `${duration / 1_000}s` : `${(duration / 1_000).toFixed(3)}s`;
}

const truths: Readonly<Record<string, boolean>> = {
  "1": true,
  t: true,
  T: true,
  true: true,
  TRUE: true,
  True: true,
  "0": false,
  f: false,
  F: false,
  false: false,
  FALSE: false,
  False: false,
};

/** A boolean as Go reads it. */
export const parseBoolean = (text: string): boolean | undefined =>
  Object.hasOwn(truths, text) ? truths[text] : undefined;

/** A whole number in decimal digits. */
export function parseInteger(text: string): number | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

export interface HostPort {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

/** `host:port`, `1.2.3.4:80` or `[::1]:80`; the host may be empty only when `emptyHost` says so. */
export function parseHostPort(text: string): HostPort | undefined {
  const [, bracketed, plain, digits = ""] = /^(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535) return undefined;
  return { host, port };
}

/** An address as it stands before a port: IPv6 in brackets. */
export const bracketed = (host: string): string => (host.includes(":") && !host.startsWith("[") ? `[${host}]` : host);

export type AddressFamily = "v4" | "v6";

/** The family of a literal address; undefined for a name or for nonsense. */
export function addressFamily(text: string): AddressFamily | undefined {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text))
    return text.split(".").every((part) => Number(part) <= 255) ? "v4" : undefined;
  const bare = text.replace(/%[\w.-]+$/, "");
  if (!/^[0-9A-Fa-f:]*(?:\d{1,3}(?:\.\d{1,3}){3})?$/.test(bare) || !bare.includes(":")) return undefined;
  return isIpv6(bare) ? "v6" : undefined;
}

function isIpv6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === "" ? [] : half.split(":")));
  const words = groups.reduce((sum, group) => sum + (group.includes(".") ? 2 : 1), 0);
  if (groups.some((group) => !group.includes(".") && !/^[0-9A-Fa-f]{1,4}$/.test(group))) return false;
  return halves.length === 2 ? words <= 7 : words === 8;
}

/** The first value that is set: the one expression in which a field's precedence is written down. */
export function firstSet<T>(...values: readonly [...(T | undefined)[], T]): T;
export function firstSet<T>(...values: readonly (T | undefined)[]): T | undefined;
export function firstSet<T>(...values: readonly (T | undefined)[]): T | undefined {
  return values.find((value) => value !== undefined);
}
