import { Problems } from "../foundation/problems.ts";
import type { Millis } from "../foundation/time.ts";

/** One probe or hook of the application that we carry out for the kubelet. */
export type AppProber = HttpProber | TcpProber | GrpcProber;

interface Every {
  readonly port: number;
  /** Undefined: as long as the caller waits (a hook may take the whole grace period). */
  readonly timeout: Millis | undefined;
}

export interface HttpProber extends Every {
  readonly kind: "http";
  readonly scheme: "http" | "https";
  /** Ready for a request line: begins with "/", no fragment, nothing that must be escaped. */
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface TcpProber extends Every {
  readonly kind: "tcp";
}

export interface GrpcProber extends Every {
  readonly kind: "grpc";
  /** The service that is asked about; empty is the server as a whole. */
  readonly service: string;
}

export type AppProbers = ReadonlyMap<string, AppProber>;

const VARIABLE = "ISTIO_KUBE_APP_PROBERS";
const HEALTH = /^\/app-health\/[^/]+\/(livez|readyz|startupz)$/;
const LIFECYCLE = /^\/app-lifecycle\/[^/]+\/(prestopz|poststartz)$/;
/** Kubernetes' default for a probe without timeoutSeconds. */
const PROBE_TIMEOUT: Millis = 1_000;

/**
 * Reads ISTIO_KUBE_APP_PROBERS, which the injector writes (features.md PROBE-1): path -> one of httpGet, tcpSocket and
 * grpc, and timeoutSeconds. Absent or empty: none. Throws InvalidConfig with every problem.
 */
export function readAppProbers(text: string | undefined): AppProbers {
  const problems = new Problems();
  const table = text === undefined || text.trim() === "" ? {} : parse(text, problems);
  const found = new Map<string, AppProber>();
  for (const [path, value] of Object.entries(table)) {
    const prober = readProber(path, value, (what) => {
      problems.add(`${VARIABLE} "${path}"`, what);
      return undefined;
    });
    if (prober !== undefined) found.set(path, prober);
  }
  problems.throwIfAny("cannot use the table of application probes");
  return found;
}

type Complain = (what: string) => undefined;
type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function parse(text: string, problems: Problems): Fields {
  try {
    const value: unknown = JSON.parse(text);
    if (isFields(value)) return value;
    problems.add(VARIABLE, "it is no JSON object; it is written by the injector, inject the pod again");
  } catch (error) {
    problems.add(
      VARIABLE,
      `it is no JSON: ${(error as Error).message}; it is written by the injector, inject the pod again`,
    );
  }
  return {};
}

function readProber(path: string, value: unknown, complain: Complain): AppProber | undefined {
  const hook = LIFECYCLE.test(path);
  if (!hook && !HEALTH.test(path)) {
    complain(
      "no such path; use /app-health/CONTAINER/{livez,readyz,startupz} or /app-lifecycle/CONTAINER/{prestopz,poststartz}",
    );
  }
  if (!isFields(value)) return complain("no object; give one of httpGet, tcpSocket and grpc");
  // Before Istio 1.4 the value was the httpGet itself.
  const fields: Fields = "port" in value && actions(value).length === 0 ? { httpGet: value } : value;
  const [kind, ...more] = actions(fields);
  if (kind === undefined || more.length > 0) {
    return complain(`${actions(fields).length} actions; give exactly one of httpGet, tcpSocket and grpc`);
  }
  const action = fields[kind];
  if (!isFields(action)) return complain(`${kind} is no object`);
  const port = readPort(action["port"], kind, complain);
  const timeout = readTimeout(fields["timeoutSeconds"], hook, complain);
  if (kind === "tcpSocket") return { kind: "tcp", port, timeout };
  if (kind === "httpGet") return { kind: "http", port, timeout, ...readHttp(action, complain) };
  if (hook) complain("a hook can't be grpc; use httpGet or tcpSocket");
  return { kind: "grpc", port, timeout, service: readText(action["service"], "", "grpc.service", complain) };
}

const kinds = ["httpGet", "tcpSocket", "grpc"] as const;
const actions = (fields: Fields) => kinds.filter((kind) => fields[kind] !== undefined && fields[kind] !== null);

function readPort(value: unknown, kind: string, complain: Complain): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65_535) return value;
  complain(
    typeof value === "string"
      ? `${kind}.port is the text ${JSON.stringify(value)}; a number from 1 to 65535 is needed (names are resolved at injection: does the container declare this port?)`
      : `${kind}.port is ${JSON.stringify(value)}; a number from 1 to 65535 is needed`,
  );
  return 0;
}

function readTimeout(value: unknown, hook: boolean, complain: Complain): Millis | undefined {
  const unset = hook ? undefined : PROBE_TIMEOUT;
  if (value === undefined || value === null || value === 0) return unset;
  if (typeof value === "number" && Number.isInteger(value) && value > 0 && value < 2 ** 31) return value * 1_000;
  complain(`timeoutSeconds is ${JSON.stringify(value)}; use a whole number of seconds from 1`);
  return unset;
}

function readText(value: unknown, fallback: string, name: string, complain: Complain): string {
  if (value === undefined || value === null) return fallback;
  if (typeof value === "string") return value;
  complain(`${name} is ${JSON.stringify(value)}; a text is needed`);
  return fallback;
}

function readHttp(action: Fields, complain: Complain): Pick<HttpProber, "scheme" | "path" | "headers"> {
  const scheme = readText(action["scheme"], "HTTP", "httpGet.scheme", complain).toUpperCase();
  if (scheme !== "HTTP" && scheme !== "HTTPS") complain(`httpGet.scheme is "${scheme}"; use HTTP or HTTPS`);
  return {
    scheme: scheme === "HTTPS" ? "https" : "http",
    path: requestPath(readText(action["path"], "/", "httpGet.path", complain)),
    headers: readHeaders(action["httpHeaders"], complain),
  };
}

/** What a header's name may be made of (RFC 9110 5.6.2), and its value. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

function readHeaders(value: unknown, complain: Complain): HttpProber["headers"] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) {
    complain("httpGet.httpHeaders is no list");
    return [];
  }
  return value.flatMap((one: unknown, index) => {
    const { name, value: content = "" } = isFields(one) ? one : {};
    if (typeof name === "string" && TOKEN.test(name) && typeof content === "string" && VALUE.test(content)) {
      return [[name, content] as const];
    }
    complain(`httpGet.httpHeaders[${index}] is no header; give name and value`);
    return [];
  });
}

/**
 * A probe's path as the kubelet would send it: a slash in front, no fragment, and what may not stand in a request line
 * escaped; a "%" that begins no escape becomes one. Nothing else is tidied.
 */
export function requestPath(path: string): string {
  const whole = path.replace(/#.*$/s, "");
  const slashed = whole.startsWith("/") ? whole : `/${whole}`;
  return slashed
    .replace(/%(?![0-9a-fA-F]{2})/g, "%25")
    .replace(/[^\x21-\x7e]|["<>\\^`{|}]/gu, (letter) => encodeURIComponent(letter.isWellFormed() ? letter : "\ufffd"));
}
