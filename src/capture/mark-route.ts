import { Refused } from "../foundation/errors.ts";
import type { Family } from "./cidr.ts";
import type { MarkRoute, Plan } from "./rules.ts";
import { failure, succeeded, type World } from "./world.ts";

/**
 * TPROXY's ip rule and local route, and the address ::6. The kernel keeps a protocol number with rules and routes;
 * ours is the mark by which they are found again. (rt_protos of iproute2 gives 137 to nobody.)
 */
export const routeProtocol = "137";

/** What Istio's own tool makes, without a mark of its own: taken over and removed like ours. */
const peerDefault = { mark: 1337, table: "133" } as const;

export interface FoundRule {
  readonly family: Family;
  readonly mark: number;
  readonly table: string;
  readonly ours: boolean;
}

export interface FoundRoute {
  readonly family: Family;
  readonly table: string;
  readonly ours: boolean;
}

export interface RouteState {
  readonly rules: readonly FoundRule[];
  readonly routes: readonly FoundRoute[];
  /** ::6 on lo. */
  readonly address: boolean;
}

export const emptyRoutes: RouteState = { rules: [], routes: [], address: false };

const flag = (family: Family): string => (family === "v4" ? "-4" : "-6");

/** Without the program `ip` there is nothing of ours to find: we could not have made it. */
export async function readRoutes(world: World): Promise<RouteState> {
  const addresses = await world.addresses();
  const address = addresses.some((one) => one.interfaceName === "lo" && one.address === "::6");
  const [rules, routes]: [FoundRule[], FoundRoute[]] = [[], []];
  const asked = (["v4", "v6"] as const).map(async (family) => ({
    family,
    found: await Promise.all([
      listed(world, [flag(family), "rule", "show"]),
      listed(world, [flag(family), "route", "show", "table", "all"]),
    ]),
  }));
  for (const { family, found } of world.has("ip") ? await Promise.all(asked) : []) {
    for (const one of found[0]) {
      const [mark, table] = [Number(one["fwmark"]), String(one["table"])];
      if (one["fwmark"] === undefined || one["src"] !== "all") continue;
      const peers = one["protocol"] === undefined && mark === peerDefault.mark && table === peerDefault.table;
      rules.push({ family, mark, table, ours: String(one["protocol"]) === routeProtocol || peers });
    }
    for (const one of found[1]) {
      if (one["type"] !== "local" || one["dst"] !== "default" || one["dev"] !== "lo") continue;
      const table = String(one["table"]);
      routes.push({ family, table, ours: String(one["protocol"]) === routeProtocol || table === peerDefault.table });
    }
  }
  return { rules, routes, address };
}

/** An answer that is no JSON (a family that the kernel lacks) is an empty one. */
async function listed(world: World, args: readonly string[]): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const answer = await world.run("ip", ["-j", ...args]);
  if (!succeeded(answer)) return [];
  try {
    const list: unknown = JSON.parse(answer.stdout === "" ? "[]" : answer.stdout);
    return Array.isArray(list) ? (list as Readonly<Record<string, unknown>>[]) : [];
  } catch {
    return [];
  }
}

/** One `ip` call and the one that takes it back. */
export interface RouteStep {
  readonly args: readonly string[];
  readonly undo: readonly string[];
}

const ruleArgs = (family: Family, verb: "add" | "del", mark: number, table: string): readonly string[] => [
  flag(family),
  "rule",
  verb,
  "fwmark",
  String(mark),
  "lookup",
  table,
  // Just before the main table's; fixed, so that the way to a state does not show in it.
  ...(verb === "add" ? ["pref", "32765", "protocol", routeProtocol] : []),
];

const routeArgs = (family: Family, verb: "add" | "del", table: string): readonly string[] => [
  flag(family),
  "route",
  verb,
  "local",
  "default",
  "dev",
  "lo",
  "table",
  table,
  ...(verb === "add" ? ["proto", routeProtocol] : []),
];

const addressArgs = (verb: "add" | "del"): readonly string[] => ["-6", "addr", verb, "::6/128", "dev", "lo"];

const isRule = (route: MarkRoute, family: Family, rule: FoundRule): boolean =>
  rule.family === family && rule.mark === route.mark && rule.table === String(route.table);
const isRoute = (route: MarkRoute, family: Family, found: FoundRoute): boolean =>
  found.family === family && found.table === String(route.table);

/** What is missing for the plan; done before the rules, which would mark packets for a route that is not there. */
export function routesToAdd(plan: Plan, state: RouteState): readonly RouteStep[] {
  const steps: RouteStep[] = [];
  const { route } = plan;
  for (const family of route?.families ?? []) {
    if (route === undefined) break;
    const [mark, table] = [route.mark, String(route.table)];
    if (!state.routes.some((found) => isRoute(route, family, found)))
      steps.push({ args: routeArgs(family, "add", table), undo: routeArgs(family, "del", table) });
    if (!state.rules.some((rule) => isRule(route, family, rule)))
      steps.push({ args: ruleArgs(family, "add", mark, table), undo: ruleArgs(family, "del", mark, table) });
  }
  if (plan.inboundSourceV6 && !state.address) steps.push({ args: addressArgs("add"), undo: addressArgs("del") });
  return steps;
}

/** What of ours the plan does not want, and what is there twice; done after the rules. */
export function routesToRemove(plan: Plan, state: RouteState): readonly RouteStep[] {
  const { route } = plan;
  const steps: RouteStep[] = [];
  const kept = new Set<Family>();
  for (const rule of state.rules) {
    const wanted = route?.families.includes(rule.family) === true && isRule(route, rule.family, rule);
    if (wanted && !kept.has(rule.family)) kept.add(rule.family);
    else if (wanted || rule.ours)
      steps.push({
        args: ruleArgs(rule.family, "del", rule.mark, rule.table),
        undo: ruleArgs(rule.family, "add", rule.mark, rule.table),
      });
  }
  for (const found of state.routes) {
    const wanted = route?.families.includes(found.family) === true && isRoute(route, found.family, found);
    if (!wanted && found.ours)
      steps.push({
        args: routeArgs(found.family, "del", found.table),
        undo: routeArgs(found.family, "add", found.table),
      });
  }
  if (!plan.inboundSourceV6 && state.address) steps.push({ args: addressArgs("del"), undo: addressArgs("add") });
  return steps;
}

/** Calls `ip`; throws Refused with its words. */
export async function callIp(world: World, args: readonly string[]): Promise<void> {
  if (!world.has("ip"))
    throw new Refused(`cannot run "ip ${args.join(" ")}": the program ip is missing; install iproute2 in the image`);
  const done = await world.run("ip", args);
  if (!succeeded(done)) throw new Refused(`cannot run "ip ${args.join(" ")}": ${failure(done)}`);
}
