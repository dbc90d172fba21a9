import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { realWorld, type World } from "../../src/capture/world.ts";
import type { InterfaceAddress } from "../../src/system/network.ts";
import { findProgram, runProgram } from "../../src/system/programs.ts";

/** Network namespaces of a test's own: unique names, and `done` ends their processes and removes them whatever failed. */
export interface Namespace {
  readonly name: string;
  /** Path for --network-namespace. */
  readonly path: string;
  /** The words that go before a program to run it there. */
  readonly prefix: readonly string[];
  /** Runs a program there to its end; throws with its stderr when it fails. */
  sh(...words: readonly string[]): string;
  /** What src/capture sees there. */
  readonly world: World;
  /** The world with another resolv.conf. */
  worldWith(resolvConf: string): World;
  done(): void;
}

let made = 0;
const living = new Set<Namespace>();
// The last net, for a test file that ends before its afterEach.
process.once("exit", () => {
  for (const one of living) one.done();
});

const ip = (...words: readonly string[]): string =>
  execFileSync("ip", words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

export function makeNamespace(label = "pod"): Namespace {
  const name = `pf${process.pid}-${made++}-${label}`;
  ip("netns", "add", name);
  const path = `/run/netns/${name}`;
  const prefix = ["nsenter", `--net=${path}`, "--"];
  const sh = (...words: readonly string[]): string =>
    execFileSync("nsenter", [`--net=${path}`, "--", ...words], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  const namespace: Namespace = {
    name,
    path,
    prefix,
    sh,
    world: worldIn(path, sh),
    worldWith: (resolvConf) => {
      const world = worldIn(path, sh);
      return { ...world, read: (file) => (file === "/etc/resolv.conf" ? resolvConf : world.read(file)) };
    },
    done: () => {
      living.delete(namespace);
      for (const pid of spawnSync("ip", ["netns", "pids", name], { encoding: "utf8" }).stdout.split("\n"))
        if (pid !== "") spawnSync("kill", ["-KILL", pid]);
      spawnSync("ip", ["netns", "del", name]);
    },
  };
  living.add(namespace);
  ip("-n", name, "link", "set", "lo", "up");
  // An application of uid 1000 shall be able to listen on port 80, as in a pod.
  sh("sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start");
  // No link-local addresses that come by themselves, a while later: a test gives each address.
  sh("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/addr_gen_mode");
  return namespace;
}

/** A pod and a peer joined by eth0, with the addresses given; no duplicate address detection, so no waiting. */
export function makePodAndPeer(
  pod: readonly string[] = ["10.77.0.2/24"],
  peer: readonly string[] = ["10.77.0.3/24", "10.77.0.4/24"],
): { readonly pod: Namespace; readonly peer: Namespace; done(): void } {
  const [a, b] = [makeNamespace("pod"), makeNamespace("peer")];
  connect(a, b, "eth0", pod, peer);
  return {
    pod: a,
    peer: b,
    done: () => {
      a.done();
      b.done();
    },
  };
}

/** A further pair of interfaces with the same name on both sides. */
export function connect(
  a: Namespace,
  b: Namespace,
  name: string,
  inA: readonly string[],
  inB: readonly string[],
): void {
  ip("-n", a.name, "link", "add", name, "type", "veth", "peer", "name", name, "netns", b.name);
  for (const [side, addresses] of [
    [a, inA],
    [b, inB],
  ] as const) {
    for (const address of addresses)
      ip("-n", side.name, "addr", "add", address, "dev", name, ...(address.includes(":") ? ["nodad"] : []));
    ip("-n", side.name, "link", "set", name, "up");
  }
  introduce(a, b, name, inB);
  introduce(b, a, name, inA);
}

/**
 * Neighbours by table: on a new link the first v6 question of the kernel may be lost, and it asks again only after a
 * second.
 */
function introduce(a: Namespace, b: Namespace, name: string, inB: readonly string[]): void {
  const [hardware] = JSON.parse(ip("-n", b.name, "-j", "link", "show", "dev", name)) as readonly { address: string }[];
  for (const address of inB.map((one) => one.split("/")[0] ?? "").filter((one) => one.includes(":")))
    ip("-n", a.name, "neigh", "replace", address, "lladdr", hardware?.address ?? "", "dev", name, "nud", "permanent");
}

/** The real world, but each program, file below /proc/net and address is that of the namespace. */
function worldIn(path: string, sh: (...words: readonly string[]) => string): World {
  const real = realWorld();
  return {
    has: (program) => real.has(program),
    run: (program, args, input) =>
      runProgram(
        "nsenter",
        [`--net=${path}`, "--", findProgram(program, process.env["PATH"] ?? "") ?? program, ...args],
        {
          timeout: 60_000,
          limit: 64 * 1024 * 1024,
          ...(input === undefined ? {} : { input }),
        },
      ),
    read: (file) => {
      if (!file.startsWith("/proc/net/")) return real.read(file);
      try {
        return sh("cat", file);
      } catch {
        return undefined;
      }
    },
    addresses: () => Promise.resolve(addressesOf(sh("ip", "-j", "addr", "show"))),
  };
}

interface Link {
  readonly ifname: string;
  readonly addr_info: readonly { readonly family: string; readonly local: string; readonly scope: string }[];
}

function addressesOf(json: string): readonly InterfaceAddress[] {
  return (JSON.parse(json) as readonly Link[]).flatMap((link) =>
    link.addr_info.map((one) => ({
      interfaceName: link.ifname,
      address: one.local,
      family: one.family === "inet6" ? ("v6" as const) : ("v4" as const),
      loopback: link.ifname === "lo",
      linkLocal: one.scope === "link",
    })),
  );
}

/** In one shell: a snapshot is taken often, and each program costs a few milliseconds. */
const snapshotScript = `
nft -s list ruleset
for f in ip ip6; do echo --; [ -z "$(cat /proc/net/$f"_tables_names")" ] || $f"tables-legacy-save" | grep -v '^#'; done
for f in -4 -6; do echo --; ip $f rule; ip $f route show table all; done
echo --; ip -br addr`;

/**
 * Everything of the namespace that capture could change, as text, without counters. What iptables leaves of its own
 * (empty tables and hooks, which it never takes away) counts as nothing.
 */
export function kernelSnapshot(namespace: Namespace): string {
  return namespace
    .sh("sh", "-c", snapshotScript)
    .split("--\n")
    .map(sortTables)
    .join("--\n")
    .replaceAll(/\[\d+:\d+\]/g, "")
    .replaceAll(/^(\*\w+|:\w+ ACCEPT ?|COMMIT)$\n/gm, "")
    .replaceAll(/^\tchain [A-Z]+ \{\n\t\ttype .*policy accept;\n\t\}\n\n?/gm, "")
    .replaceAll(/^table ip6? (nat|mangle|raw|filter) \{\n\}\n/gm, "");
}

/** The kernel lists tables, and chains in them, in the order in which they were made, which means nothing. */
function sortTables(part: string): string {
  const [head = "", ...tables] = part.split(/^(?=table |\*)/m).map(sortChains);
  return (/^(table |\*)/.test(head) ? [head, ...tables].toSorted() : [head, ...tables.toSorted()]).join("");
}

function sortChains(table: string): string {
  const chains = /^(table .*\n)([\s\S]*?)^\}\n/m.exec(table);
  if (!chains) return table;
  const sorted = (chains[2] ?? "")
    .split(/^(?=\tchain )/m)
    .map((chain) => `${chain.trimEnd()}\n`)
    .toSorted();
  return `${chains[1]}${sorted.join("")}}\n`;
}

/** Names of legacy tables that exist: an engine that must not be touched has none. */
export const legacyTables = (namespace: Namespace): string =>
  ["ip", "ip6"].map((family) => namespace.sh("cat", `/proc/net/${family}_tables_names`)).join("");

export const canMakeNamespaces =
  process.getuid?.() === 0 && readFileSync("/proc/self/status", "utf8").includes("CapEff");
