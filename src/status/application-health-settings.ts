import type { JsonObject } from "../config/agent-config.ts";
import { isObject, ObjectReader } from "../config/object-reader.ts";
import { Problems } from "../foundation/problems.ts";
import type { Millis } from "../foundation/time.ts";
import { requestPath } from "./app-probers.ts";

/** ProxyConfig.readinessProbe: how the agent of a machine asks whether the application there is healthy (PROBE-6). */
export interface ReadinessProbe {
  readonly initialDelay: Millis;
  /** For one question. */
  readonly timeout: Millis;
  /** From the beginning of one question to that of the next. */
  readonly period: Millis;
  /** Answers of the same kind in a row that change the verdict. */
  readonly success: number;
  readonly failure: number;
  readonly action: HealthAction;
}

export type HealthAction =
  | {
      readonly kind: "http";
      readonly scheme: "http" | "https";
      readonly host: string;
      readonly port: number;
      readonly path: string;
      readonly headers: readonly (readonly [name: string, value: string])[];
    }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "grpc"; readonly host: string; readonly port: number; readonly service: string }
  | { readonly kind: "exec"; readonly command: readonly string[] };

const NAME = "readinessProbe";
const MOST = 2 ** 31 - 1;
const kinds = ["httpGet", "tcpSocket", "exec", "grpc"] as const;

/**
 * Reads it from the merged ProxyConfig (`config.proxy.raw`); undefined when there is none. Throws InvalidConfig with
 * every problem. A number that is 0 or missing is the peer's default: timeout 1 s, period 10 s, both thresholds 1.
 */
export function readReadinessProbe(proxyConfig: JsonObject): ReadinessProbe | undefined {
  const problems = new Problems();
  const probe = new ObjectReader(proxyConfig, "ProxyConfig", problems).object(NAME);
  const said = proxyConfig[NAME];
  if (probe === undefined || !isObject(said)) {
    problems.throwIfAny("cannot use the application's health check");
    return undefined;
  }
  const number = (name: string, fallback: number) => probe.integer(name, 0, MOST) || fallback;
  const action = readAction(probe, said, problems);
  const settings = {
    initialDelay: number("initialDelaySeconds", 0) * 1_000,
    timeout: number("timeoutSeconds", 1) * 1_000,
    period: number("periodSeconds", 10) * 1_000,
    success: number("successThreshold", 1),
    failure: number("failureThreshold", 1),
  };
  problems.throwIfAny("cannot use the application's health check");
  return action === undefined ? undefined : { ...settings, action };
}

function readAction(probe: ObjectReader, said: JsonObject, problems: Problems): HealthAction | undefined {
  const given = kinds.filter((kind) => probe.object(kind) !== undefined);
  const [kind] = given;
  const from = kind === undefined ? undefined : probe.object(kind);
  if (from === undefined || kind === undefined || given.length > 1) {
    const found = given.length === 0 ? "it has no action" : `it has ${given.join(" and ")}`;
    problems.add(`ProxyConfig.${NAME}`, `${found}; give exactly one of ${kinds.join(", ")}`);
    return undefined;
  }
  const wrong = (field: string, text: string) => problems.add(`ProxyConfig.${NAME}.${kind}.${field}`, text);
  if (kind === "exec") {
    const command = from.textList("command") ?? [];
    if (command.length === 0) wrong("command", "it is empty; give a program and its arguments");
    return { kind, command };
  }
  const port = from.integer("port", 1, 65_535) ?? 0;
  if (port === 0) wrong("port", "a number from 1 to 65535 is needed");
  // As probes that the injector rewrote: the application is asked on loopback unless a host is named.
  const host = from.text("host") ?? "localhost";
  if (kind === "tcpSocket") return { kind: "tcp", host, port };
  if (kind === "grpc") return { kind, host: "localhost", port, service: from.text("service") ?? "" };
  const headers = readHeaders(said[kind], wrong);
  const scheme = from.text("scheme")?.toLowerCase() ?? "http";
  if (scheme !== "http" && scheme !== "https") wrong("scheme", `"${scheme}" can't be used; use HTTP or HTTPS`);
  const path = requestPath(from.text("path") ?? "/");
  return { kind: "http", scheme: scheme === "https" ? "https" : "http", host, port, path, headers };
}

/** What a header's name may be made of (RFC 9110 5.6.2), and its value. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

function readHeaders(
  action: unknown,
  wrong: (field: string, text: string) => void,
): readonly (readonly [string, string])[] {
  const list = isObject(action) ? (action["httpHeaders"] ?? action["http_headers"] ?? []) : [];
  if (!Array.isArray(list)) {
    wrong("httpHeaders", "use a list of objects with name and value");
    return [];
  }
  return list.flatMap((one: unknown, index) => {
    const { name, value = "" } = isObject(one) ? one : {};
    const good = typeof name === "string" && TOKEN.test(name) && typeof value === "string" && VALUE.test(value);
    if (good) return [[name, value] as const];
    wrong(`httpHeaders[${index}]`, "it is no header; give name and value");
    return [];
  });
}
