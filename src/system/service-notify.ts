import type { Clock, Millis } from "../foundation/time.ts";
import { LONGEST_SOCKET_PATH } from "./datagram-calls.ts";
import { datagramSockets, type SendResult } from "./datagram-sockets.ts";

/**
 * What a service tells systemd about itself (sd_notify): datagrams of `NAME=value` lines to the socket of
 * NOTIFY_SOCKET. Every call gives what became of it, and none throws: a service runs on without being heard.
 */
export interface ServiceNotify {
  /** The service does its work now; the unit's start is over. */
  ready(): SendResult;
  /** One line for `systemctl status`. */
  status(text: string): SendResult;
  /** The end has begun. */
  stopping(): SendResult;
  /** What is under way may take so much longer, also beyond TimeoutStopSec; to be said again before that is over. */
  extend(within: Millis): SendResult;
  /**
   * Says "alive" twice in each WATCHDOG_USEC while `alive` says so; nothing happens without WatchdogSec in the unit.
   * A blocked event loop can't say it, so systemd ends us. The result ends the pings.
   */
  watch(clock: Clock, alive: () => boolean): () => void;
  /** From one ping to the next; undefined without a watchdog for this process. */
  readonly pingEvery: Millis | undefined;
}

export type Send = (path: string, bytes: Uint8Array) => SendResult;
export type Notifier = ServiceNotify | { readonly unusable: string } | undefined;

/**
 * Undefined when nobody listens for it (no NOTIFY_SOCKET: a container, Type=exec); `unusable` says why it can't be told
 * although somebody does.
 */
export function serviceNotify(env: ReadonlyMap<string, string>, pid: number, given?: Send): Notifier {
  const path = env.get("NOTIFY_SOCKET") ?? "";
  if (path === "") return undefined;
  if (!path.startsWith("/") && !path.startsWith("@"))
    return { unusable: `NOTIFY_SOCKET "${path}" is neither a path nor an abstract name` };
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) return { unusable: `NOTIFY_SOCKET "${path}" is too long` };
  const send = given ?? realSend();
  if (send === undefined) return { unusable: "the native calls (koffi) are not there" };
  const tell = (...lines: readonly string[]): SendResult => attempt(send, path, lines);
  const pingEvery = watchdogPeriod(env, pid);
  return {
    ready: () => tell("READY=1"),
    status: (text) => tell(`STATUS=${oneLine(text)}`),
    stopping: () => tell("STOPPING=1"),
    extend: (within) => tell(`EXTEND_TIMEOUT_USEC=${Math.round(within * 1_000)}`),
    pingEvery,
    watch(clock, alive) {
      if (pingEvery === undefined) return () => undefined;
      let cancel: () => void = () => undefined;
      const ping = (): void => {
        if (alive()) tell("WATCHDOG=1");
        cancel = clock.after(pingEvery, ping);
      };
      ping();
      return () => cancel();
    },
  };
}

/** Half of the watchdog's time, as sd_watchdog_enabled(3) advises; WATCHDOG_PID may mean another process. */
function watchdogPeriod(env: ReadonlyMap<string, string>, pid: number): Millis | undefined {
  const micros = Number(env.get("WATCHDOG_USEC") ?? "");
  const meant = env.get("WATCHDOG_PID") ?? "";
  if (!Number.isInteger(micros) || micros <= 0 || (meant !== "" && meant !== String(pid))) return undefined;
  return micros / 2_000;
}

/** systemd takes each line for a field of its own. */
const oneLine = (text: string): string => text.replaceAll(/[\s\p{Cc}]+/gu, " ").trim();

function attempt(send: Send, path: string, lines: readonly string[]): SendResult {
  try {
    return send(path, Buffer.from(`${lines.join("\n")}\n`));
  } catch {
    return "nobody";
  }
}

function realSend(): Send | undefined {
  const sockets = datagramSockets();
  return sockets === undefined ? undefined : (path, bytes) => sockets.sendTo(path, bytes);
}
