import type { IncomingMessage, ServerResponse } from "node:http";
import type { Millis } from "../foundation/time.ts";
import type { Peer } from "./peer.ts";

/** One request and all that a route may know of it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** As it was asked for, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly peer: Peer;
  /** The caller, for the log. */
  readonly from: string;
  /** Aborts when the caller has gone or the time is over. */
  readonly gone: AbortSignal;
}

export interface Route {
  /** Exact path, or the beginning of one when it ends with "/". */
  readonly path: string;
  /** GET includes HEAD. */
  readonly method: "GET" | "POST";
  /**
   * `everybody`: the pod's network too. `trusted`: true loopback and our unix socket. `socket`: the unix socket only,
   * where the kernel says who asks (every container of a pod can reach loopback).
   */
  readonly access: "everybody" | "trusted" | "socket";
  /** For the whole answer, ms; undefined for one that ends when its caller goes. */
  readonly limit: Millis | undefined;
  /** How many of these may be in work at once; more get 503. */
  readonly atOnce: number;
  readonly serve: (exchange: Exchange) => Promise<void> | void;
}

export type Target =
  | { readonly is: "target"; readonly path: string; readonly query: URLSearchParams }
  | { readonly is: "refused"; readonly status: number; readonly text: string };

/** Longest request target, in characters; the header limit alone would allow 16 kB. */
const LONGEST_TARGET = 4_096;

/** Splits a request's target: origin form, or the absolute form that proxies send. Nothing is decoded. */
export function parseTarget(url: string | undefined): Target {
  const text = url ?? "";
  if (text.length > LONGEST_TARGET) return { is: "refused", status: 414, text: "the address is too long\n" };
  const origin = /^https?:\/\/[^/?#]*(.*)$/i.exec(text)?.[1] ?? text;
  const cut = origin.indexOf("?");
  const path = cut < 0 ? origin : origin.slice(0, cut);
  if (!path.startsWith("/")) return { is: "refused", status: 400, text: "bad request: no path\n" };
  return { is: "target", path, query: new URLSearchParams(cut < 0 ? "" : origin.slice(cut + 1)) };
}

/** The route for a path: an exact one beats a beginning. */
export function findRoute(routes: readonly Route[], path: string): Route | undefined {
  return (
    routes.find((one) => one.path === path) ??
    routes.find((one) => one.path.endsWith("/") && one.path !== "/" && path.startsWith(one.path))
  );
}

/** The methods that a route takes, as an Allow header writes them. */
export const allowOf = (route: Route): string => (route.method === "GET" ? "GET, HEAD" : "POST");
export const takes = (route: Route, method: string | undefined): boolean =>
  method === route.method || (route.method === "GET" && method === "HEAD");
