import { Refused } from "../foundation/errors.ts";
import type { Engine } from "./capture-options.ts";
import type { Family } from "./cidr.ts";
import { nftTable, peerNftTables } from "./nft-script.ts";
import { type NftTable, readNft } from "./read-nft.ts";
import { oursOf, readSaved, type SavedTables } from "./read-xtables.ts";
import { isEmptyText, tableOrder } from "./restore-text.ts";
import { failure, succeeded, type World } from "./world.ts";

export type XtVariant = "nft" | "legacy";
export const xtVariants: readonly XtVariant[] = ["nft", "legacy"];
export const families: readonly Family[] = ["v4", "v6"];

/** What the kernel has in this network namespace, ours and others'. Reading it changes nothing. */
export interface KernelState {
  /** Every nft table, iptables-nft's among them; undefined when there is no working nft program. */
  readonly nft: readonly NftTable[] | undefined;
  /** Our table as nft text that can be loaded again. */
  readonly nativeText: string | undefined;
  readonly xt: Readonly<Record<XtVariant, Readonly<Record<Family, SavedTables>>>>;
}

export const xtProgram = (variant: XtVariant, family: Family, verb: "save" | "restore"): string =>
  `${family === "v4" ? "iptables" : "ip6tables"}-${variant}-${verb}`;

export async function readKernel(world: World): Promise<KernelState> {
  const nft = await readNftTables(world);
  const read = async (variant: XtVariant, family: Family): Promise<SavedTables> =>
    (await mayHaveTables(world, variant, family, nft)) ? readXt(world, variant, family) : new Map();
  const [nativeText, nft4, nft6, legacy4, legacy6] = await Promise.all([
    nft && ownTable({ nft }) ? listOwn(world) : undefined,
    read("nft", "v4"),
    read("nft", "v6"),
    read("legacy", "v4"),
    read("legacy", "v6"),
  ]);
  return { nft, nativeText, xt: { nft: { v4: nft4, v6: nft6 }, legacy: { v4: legacy4, v6: legacy6 } } };
}

async function readNftTables(world: World): Promise<readonly NftTable[] | undefined> {
  if (!world.has("nft")) return undefined;
  const listed = await world.run("nft", ["-j", "-s", "list", "ruleset"]);
  if (!succeeded(listed)) return undefined;
  try {
    return readNft(listed.stdout);
  } catch {
    return undefined;
  }
}

async function listOwn(world: World): Promise<string | undefined> {
  const listed = await world.run("nft", ["-s", "list", "table", "inet", nftTable]);
  return succeeded(listed) ? listed.stdout : undefined;
}

/**
 * iptables-legacy makes the tables that it is asked for by name, and a mere look would be a change: the kernel's list
 * of those that exist says whether there is anything to read. For iptables-nft the list of nft tables says it.
 */
async function mayHaveTables(
  world: World,
  variant: XtVariant,
  family: Family,
  nft: readonly NftTable[] | undefined,
): Promise<boolean> {
  if (!world.has(xtProgram(variant, family, "save"))) return false;
  if (variant === "legacy") {
    const names = world.read(`/proc/net/${family === "v4" ? "ip" : "ip6"}_tables_names`);
    return (names ?? "").trim() !== "";
  }
  const own = family === "v4" ? "ip" : "ip6";
  return (
    nft === undefined || nft.some((table) => table.family === own && tableOrder.some((name) => name === table.name))
  );
}

async function readXt(world: World, variant: XtVariant, family: Family): Promise<SavedTables> {
  const program = xtProgram(variant, family, "save");
  const saved = await world.run(program, []);
  if (!succeeded(saved)) throw new Refused(`cannot read the rules by ${program}: ${failure(saved)}`);
  return readSaved(saved.stdout);
}

export const ownTable = (state: Pick<KernelState, "nft">): NftTable | undefined =>
  state.nft?.find((table) => table.family === "inet" && table.name === nftTable);

/** Istio's own native tables that are loaded. */
export const peerTables = (state: Pick<KernelState, "nft">): readonly string[] =>
  peerNftTables.filter((name) => state.nft?.some((table) => table.family === "inet" && table.name === name));

/** Whether iptables of this variant has anything of ours. */
export const xtHasOurs = (state: KernelState, variant: XtVariant): boolean =>
  families.some((family) => tableOrder.some((table) => !isEmptyText(oursOf(state.xt[variant][family].get(table)))));

/** The engines in which something of ours is loaded, best first. */
export const enginesWithOurs = (state: KernelState): readonly Engine[] => [
  ...(ownTable(state) || peerTables(state).length > 0 ? (["native"] as const) : []),
  ...xtVariants.filter((variant) => xtHasOurs(state, variant)),
];
