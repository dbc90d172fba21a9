import pino from "pino";
import { describeError } from "./errors.ts";

export type Level = "debug" | "info" | "warn" | "error";
export type LevelOrNone = Level | "none";

/**
 * A log of one scope. Two levels that mean something: `info` for the operator, `debug` for who looks into one scope;
 * `warn` and `error` have a fixed sentence. The text is static, what varies goes into `facts`.
 * Never put a key, a token or a secret's content into either.
 */
export interface Log {
  debug(text: string, facts?: Facts): void;
  info(text: string, facts?: Facts): void;
  warn(text: string, facts?: Facts): void;
  error(text: string, facts?: Facts): void;
  /** The same log under another scope name. */
  scoped(scope: string): Log;
}

export type Facts = Readonly<Record<string, unknown>>;

export interface LogOptions {
  /** One JSON object a line, or readable text. */
  readonly json: boolean;
  /** Level of every scope that `scopes` does not name. */
  readonly level: LevelOrNone;
  readonly scopes: ReadonlyMap<string, LevelOrNone>;
  /** Where the lines go. */
  readonly write: (line: string) => void;
  /** The calendar, for the time stamp. */
  readonly now: () => Date;
}

const rank: Readonly<Record<LevelOrNone, number>> = { debug: 0, info: 1, warn: 2, error: 3, none: 4 };

/** `{"level":"info","time":"…","scope":"…","msg":"…",…}`: the shape that Envoy's lines get too. */
export function createLog(options: LogOptions, scope = "default"): Log {
  const out = { write: options.json ? options.write : (line: string) => options.write(readable(line)) };
  const base = pino(
    {
      level: "debug",
      base: null,
      timestamp: () => `,"time":"${options.now().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    out,
  );
  return scopedLog(base, options, scope);
}

function scopedLog(base: pino.Logger, options: LogOptions, scope: string): Log {
  const least = rank[options.scopes.get(scope) ?? options.scopes.get("all") ?? options.level];
  const at =
    (level: Level) =>
    (text: string, facts: Facts = {}): void => {
      if (rank[level] >= least) base[level]({ scope, ...printable(facts) }, text);
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    scoped: (other) => scopedLog(base, options, other),
  };
}

/** Errors become their sentence; a bug also shows where it happened. */
function printable(facts: Facts): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(facts)) {
    if (!(value instanceof Error)) {
      out[name] = value;
      continue;
    }
    out[name] = describeError(value);
    if (value.name === "InternalError" || value.name === "TypeError") out["stack"] = value.stack;
  }
  return out;
}

/** A JSON line as a person reads it: `time  level  scope  msg  name=value …`. */
export function readable(line: string): string {
  const { level, time, scope, msg, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const facts = Object.entries(rest)
    .map(
      ([name, value]) =>
        ` ${name}=${typeof value === "string" && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)}`,
    )
    .join("");
  return `${String(time)}\t${String(level)}\t${String(scope)}\t${String(msg)}${facts}\n`;
}

/** A log that goes nowhere, for tests and for commands that print for people. */
export const noLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  scoped: () => noLog,
};
