import type { HttpProber } from "./app-probers.ts";

/** Where one request of a probe goes. */
export interface ProbeTarget {
  readonly scheme: "http" | "https";
  /** As in a URL, without brackets. Every hop of a probe has the same one. */
  readonly hostname: string;
  readonly port: number;
  /** Path with query. */
  readonly path: string;
}

export interface ProbeRequest {
  readonly target: ProbeTarget;
  /** The Host header, or :authority. */
  readonly host: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface Caller {
  /** Name, value, name, value, as they came. */
  readonly rawHeaders: readonly string[];
  readonly host: string | undefined;
}

/** Belong to one connection or one message; the next one has its own. */
const HOP_BY_HOP = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/**
 * The first request of a probe (features.md PROBE-2): the caller's headers, and those of the probe that the caller did
 * not bring (the kubelet brings them all: the injector leaves them in the rewritten probe). A Host that names our port
 * names the application's instead.
 */
export function firstRequest(prober: HttpProber, hostname: string, caller: Caller, statusPort: number): ProbeRequest {
  const target = { scheme: prober.scheme, hostname, port: prober.port, path: prober.path };
  const brought = pairs(caller.rawHeaders).filter(([name]) => !HOP_BY_HOP.has(name.toLowerCase()));
  const names = new Set(brought.map(([name]) => name.toLowerCase()));
  const own = prober.headers.filter(([name]) => !names.has(name.toLowerCase()));
  const ownHost = own.find(([name]) => /^(host|:authority)$/i.test(name))?.[1];
  return {
    target,
    host: ownHost ?? applicationHost(caller.host, prober.port, statusPort) ?? hostOf(target),
    headers: [...brought, ...own.filter(([name]) => !HOP_BY_HOP.has(name.toLowerCase()))],
  };
}

function pairs(raw: readonly string[]): (readonly [string, string])[] {
  const out: (readonly [string, string])[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) out.push([raw[index] ?? "", raw[index + 1] ?? ""]);
  return out;
}

function applicationHost(host: string | undefined, port: number, statusPort: number): string | undefined {
  if (host === undefined || host === "") return undefined;
  const [, name, named] = /^(.*):(\d+)$/.exec(host) ?? [];
  return name !== undefined && Number(named) === statusPort ? `${name}:${port}` : host;
}

/** Host and port as a URL writes them; the scheme's own port is left out. */
function hostOf({ hostname, port, scheme }: ProbeTarget): string {
  const name = hostname.includes(":") ? `[${hostname}]` : hostname;
  return port === (scheme === "https" ? 443 : 80) ? name : `${name}:${port}`;
}

export type Step =
  /** This is the answer. */
  | { readonly is: "final" }
  /** A redirect that is not followed counts as success: the application answers. */
  | { readonly is: "success" }
  | { readonly is: "next"; readonly request: ProbeRequest }
  | { readonly is: "failure"; readonly why: string };

const FOLLOWED = new Set([301, 302, 303, 307, 308]);
/** Requests of one probe, redirects included. */
const MOST_REQUESTS = 10;

/**
 * The kubelet's redirect rules: the same host is followed, ten requests at most; another host, and any other 3xx, is a
 * success. `made`: how many requests were made so far.
 */
export function afterAnswer(request: ProbeRequest, status: number, location: string | undefined, made: number): Step {
  if (status < 300 || status > 399) return { is: "final" };
  if (!FOLLOWED.has(status) || location === undefined || location === "") return { is: "success" };
  const { target } = request;
  const here = `${target.scheme}://${hostOf(target)}${target.path}`;
  const there = URL.parse(location, here);
  if (there === null) return { is: "failure", why: "it redirects to something that is no address" };
  const hostname = there.hostname.replace(/^\[(.*)\]$/, "$1");
  if (hostname !== target.hostname) return { is: "success" };
  if (made >= MOST_REQUESTS) return { is: "failure", why: `stopped after ${MOST_REQUESTS} redirects` };
  const scheme = there.protocol === "https:" ? "https" : there.protocol === "http:" ? "http" : undefined;
  if (scheme === undefined) return { is: "failure", why: `it redirects to the scheme "${there.protocol}"` };
  const next = {
    scheme,
    hostname,
    port: there.port === "" ? (scheme === "https" ? 443 : 80) : Number(there.port),
    path: there.pathname + there.search,
  } as const;
  return { is: "next", request: following(request, next, here, /^[a-z][a-z0-9+.-]*:/i.test(location)) };
}

/** Go's client, which the kubelet uses: a relative redirect keeps a Host of its own, and a Referer says where from. */
function following(request: ProbeRequest, target: ProbeTarget, here: string, absolute: boolean): ProbeRequest {
  const others = request.headers.filter(([name]) => name.toLowerCase() !== "referer");
  const downgrade = here.startsWith("https:") && target.scheme === "http";
  return {
    target,
    host: absolute ? hostOf(target) : request.host,
    headers: downgrade ? others : [...others, ["referer", here]],
  };
}
