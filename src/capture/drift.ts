import type { Engine } from "./capture-options.ts";
import type { Family } from "./cidr.ts";
import { enginesWithOurs, families, type KernelState, ownTable, peerTables, type XtVariant } from "./kernel-state.ts";
import { type RouteState, routesToAdd, routesToRemove } from "./mark-route.ts";
import { canonical, type Hook, isHook, isOurChain, type Rule, type Table } from "./model.ts";
import { baseChain, nftChain, nftChains, nftRule, nftTable } from "./nft-script.ts";
import type { NftChain, NftRule } from "./read-nft.ts";
import { isOurJump, type SavedRule, type SavedTable } from "./read-xtables.ts";
import { ruleWords, tableOrder } from "./restore-text.ts";
import type { Plan } from "./rules.ts";

/** One difference between what the options ask for and what the kernel has. */
export interface Finding {
  readonly kind: "missing" | "extra" | "reordered" | "foreign" | "elsewhere" | "route";
  readonly text: string;
  /** Of a foreign one: putting our rules in again ends it. */
  readonly repairable?: boolean;
}

/** A rule in comparable form beside the words that a person gets to see. */
interface Shown {
  readonly key: string;
  readonly text: string;
}

/** All differences; empty means: exactly the plan, in order, in this engine only. */
export function findDrift(plan: Plan, state: KernelState, routes: RouteState, engine: Engine): readonly Finding[] {
  const loaded =
    engine === "native" ? nativeDrift(plan, state) : families.flatMap((family) => xtDrift(plan, state, engine, family));
  return [
    ...loaded,
    ...(plan.rules.length === 0 ? [] : foreignNat(state, engine)),
    ...enginesWithOurs(state)
      .filter((one) => one !== engine)
      .map((one): Finding => ({ kind: "elsewhere", text: `rules of ours are loaded by ${engineWords[one]} too` })),
    ...(engine === "native" ? peerTables(state) : []).map(
      (name): Finding => ({ kind: "elsewhere", text: `Istio's own table "inet ${name}" is loaded too` }),
    ),
    ...routesToAdd(plan, routes).map(
      (step): Finding => ({
        kind: "missing",
        text: `ip ${step.args.slice(0, 2).join(" ")}: ${step.args.slice(3).join(" ")}`,
      }),
    ),
    ...routesToRemove(plan, routes).map(
      (step): Finding => ({
        kind: "route",
        text: `not wanted: ip ${step.args.slice(0, 2).join(" ")}: ${step.args.slice(3).join(" ")}`,
      }),
    ),
  ];
}

export const engineWords: Readonly<Record<Engine, string>> = {
  native: "native nftables",
  nft: "iptables-nft",
  legacy: "iptables-legacy",
};

/** Compares two lists: what is missing, what is extra, and whether the rest is in order. */
function compareLists(where: string, wanted: readonly Shown[], found: readonly Shown[]): readonly Finding[] {
  const left = [...found];
  const missing = wanted.filter((one) => {
    const at = left.findIndex((other) => other.key === one.key);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  const common = found.filter((one) => !left.includes(one));
  const expected = wanted.filter((one) => !missing.includes(one));
  const moved = common.find((one, index) => one.key !== expected[index]?.key);
  return [
    ...missing.map((one): Finding => ({ kind: "missing", text: `${where} ${one.text}` })),
    ...left.map((one): Finding => ({ kind: "extra", text: `${where} ${one.text}` })),
    ...(moved ? [{ kind: "reordered", text: `${where} ${moved.text}` } as const] : []),
  ];
}

function nativeDrift(plan: Plan, state: KernelState): readonly Finding[] {
  const table = ownTable(state);
  const wanted = nftChains(plan.rules);
  const found = new Map(table?.chains.map((chain) => [chain.name, chain]));
  const names = new Set([...wanted.keys(), ...found.keys()]);
  const leftover = table && plan.rules.length === 0 ? [{ kind: "extra", text: `table inet ${nftTable}` } as const] : [];
  return [
    ...leftover,
    ...[...names].flatMap((name) => {
      const [want, have] = [wanted.get(name), found.get(name)];
      if (want === undefined) return [{ kind: "extra", text: `chain ${name}` } as const];
      const missing = have === undefined ? [{ kind: "missing", text: `chain ${name}` } as const] : [];
      return [
        ...missing,
        ...baseDrift(want[0], have),
        ...compareLists(name, want.map(shownWanted), (have?.rules ?? []).map(shownNft)),
      ];
    }),
  ];
}

const shownWanted = (rule: Rule): Shown => ({ key: nativeKey(rule), text: nftRule(rule) });
const shownNft = (rule: NftRule): Shown => ({
  key: canonical(rule.verdict.do === "reject" ? { ...rule, guard: undefined } : rule),
  text: rule.text,
});

/** A jump's target has another name in nft; a guard before a reject is not listed. */
function nativeKey(rule: Rule): string {
  const { verdict } = rule;
  const named = verdict.do === "jump" ? { do: "jump" as const, to: nftChain(rule.table, verdict.to) } : verdict;
  return canonical({ matches: rule.matches, verdict: named, guard: verdict.do === "reject" ? undefined : rule.guard });
}

/** A base chain that sits elsewhere, or drops by policy, is not ours any more. */
function baseDrift(first: Rule | undefined, have: NftChain | undefined): readonly Finding[] {
  if (first === undefined || have === undefined) return [];
  const wanted = isHook(first.chain) ? baseChain(first.table, first.chain) : undefined;
  const { base } = have;
  const same =
    wanted === undefined
      ? base === undefined
      : base?.type === wanted.type &&
        base.priority === wanted.priority &&
        base.hook === first.chain.toLowerCase() &&
        base.policy === "accept";
  return same ? [] : [{ kind: "extra", text: `chain ${have.name} hooks differently: ${JSON.stringify(base)}` }];
}

function xtDrift(plan: Plan, state: KernelState, variant: XtVariant, family: Family): readonly Finding[] {
  return tableOrder.flatMap((table) => {
    const saved = state.xt[variant][family].get(table);
    const rules = plan.rules.filter((rule) => rule.table === table && rule.families.includes(family));
    return tableDrift(rules, table, family, saved);
  });
}

function tableDrift(
  rules: readonly Rule[],
  table: Table,
  family: Family,
  saved: SavedTable | undefined,
): readonly Finding[] {
  const wanted = new Map<string, Rule[]>();
  for (const rule of rules) {
    wanted.set(rule.chain, [...(wanted.get(rule.chain) ?? []), rule]);
    if (rule.verdict.do === "jump") wanted.set(rule.verdict.to, wanted.get(rule.verdict.to) ?? []);
  }
  const ours = (saved?.chains ?? []).filter((name) => isOurChain(name));
  const chains = new Set([...wanted.keys(), ...ours, ...hookNames(saved)]);
  return [...chains].flatMap((chain) => {
    const where = `${family} ${table} ${chain}`;
    const want = (wanted.get(chain) ?? []).map(
      (rule): Shown => ({
        key: canonical({ matches: rule.matches, verdict: rule.verdict }),
        text: ruleWords(rule, family),
      }),
    );
    const all = (saved?.rules ?? []).filter((rule) => rule.chain === chain);
    const have = isHook(chain) ? all.filter(isOurJump) : all;
    const extraChain: readonly Finding[] =
      wanted.has(chain) || isHook(chain) ? [] : isOurChain(chain) ? [{ kind: "extra", text: where }] : [];
    const listed = isHook(chain) || wanted.has(chain) ? compareLists(where, want, have.map(shownSaved)) : [];
    return [...extraChain, ...listed, ...(isHook(chain) ? foreignBefore(where, all) : [])];
  });
}

const hookNames = (saved: SavedTable | undefined): readonly string[] =>
  (saved?.chains ?? []).filter((name) => isHook(name));

const shownSaved = (rule: SavedRule): Shown => ({ key: canonical(rule), text: rule.text });

/** Verdicts that do not end the look through a chain. */
const goesOn = new Set(["nothing", "set-mark", "save-mark", "restore-mark", "zone", "log", "drop"]);

/** Rules of others before our jump can take a connection away from it. */
function foreignBefore(where: string, rules: readonly SavedRule[]): readonly Finding[] {
  const first = rules.findIndex(isOurJump);
  return rules
    .slice(0, Math.max(first, 0))
    .filter((rule) => !goesOn.has(rule.verdict.do) && !/^(LOG|NFLOG|MARK|CONNMARK|TRACE)\b/.test(other(rule)))
    .map(
      (rule): Finding => ({
        kind: "foreign",
        text: `${where} ${rule.text}: stands before our rules`,
        repairable: true,
      }),
    );
}

const other = (rule: SavedRule): string => (rule.verdict.do === "other" ? rule.verdict.text : "");

/** nft nat chains of others that are asked before ours, and rules that keep connections from conntrack (and so from nat). */
function foreignNat(state: KernelState, engine: Engine): readonly Finding[] {
  const before = engine === "native" ? baseChain("nat", "OUTPUT").priority : -100;
  return (state.nft ?? []).flatMap((table) =>
    table.family === "inet" && [nftTable, ...peerTables(state)].includes(table.name)
      ? []
      : table.chains.flatMap((chain) => {
          const where = `${table.family} ${table.name} ${chain.name}`;
          const { base } = chain;
          const nat =
            base?.type === "nat" && natHooks.has(base.hook) && base.priority <= before && chain.rules.length > 0;
          const standard = table.name === "nat" && base?.priority === -100;
          const early: readonly Finding[] =
            nat && !standard ? [{ kind: "foreign", text: `${where}: its nat rules are asked before ours` }] : [];
          const free = chain.rules.filter((rule) => rule.text.includes('"notrack"'));
          return [
            ...early,
            ...free.map(
              (rule): Finding => ({
                kind: "foreign",
                text: `${where} ${rule.text}: untracked packets are not captured`,
              }),
            ),
          ];
        }),
  );
}

const natHooks = new Set(["prerouting", "output"] satisfies Lowercase<Hook>[] as readonly string[]);
