import { spawn } from "node:child_process";
import type { Engine } from "../../src/capture/capture-options.ts";
import { tableOrder } from "../../src/capture/restore-text.ts";
import { capture, seedOptions } from "./capture-calls.ts";
import { engineSettings } from "./capture-loads.ts";
import { makePodAndPeer, type Namespace } from "./network-namespaces.ts";
import { pilotfish } from "./paths.ts";

/** The command in a namespace, without holding up the others. */
export function commandLater(
  namespace: Namespace,
  words: readonly string[],
  before: readonly string[] = [],
): Promise<{ readonly code: number | null; readonly text: string }> {
  const [first = "", ...rest] = [...namespace.prefix, ...before];
  const child = spawn(first, [...rest, pilotfish, ...words], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], HOME: "/" },
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (more: string) => (text += more));
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, text })));
}

/** One way to break loaded rules, and what to call it. */
export interface Mutation {
  readonly title: string;
  readonly words: readonly string[];
}

interface NftItem {
  readonly rule?: { readonly chain: string; readonly handle: number; readonly comment?: string };
}

/** The removal of each single rule of ours that the namespace has. */
export function deletions(pod: Namespace, engine: Engine): readonly Mutation[] {
  if (engine === "native") {
    const { nftables } = JSON.parse(pod.sh("nft", "-j", "list", "table", "inet", "pilotfish")) as {
      nftables: NftItem[];
    };
    return nftables
      .flatMap(({ rule }) => (rule ? [rule] : []))
      .map(({ chain, handle, comment }) => ({
        title: `${chain}: ${comment}`,
        words: ["nft", "delete", "rule", "inet", "pilotfish", chain, "handle", String(handle)],
      }));
  }
  return ["iptables", "ip6tables"].flatMap((program) =>
    tableOrder.flatMap((table) =>
      pod
        .sh(`${program}-${engine}`, "-t", table, "-S")
        .split("\n")
        .filter((line) => /^-A .*ISTIO_/.test(line))
        .map((line) => ({
          title: `${program} ${table} ${line}`,
          words: [`${program}-${engine}`, "-t", table, ...line.replace(/^-A/, "-D").split(" ")],
        })),
    ),
  );
}

/** One result a mutation: what the command said when that rule alone was gone. */
export async function judgeDeletions(
  engine: Engine,
  settings: Readonly<Record<string, string>>,
  flags: readonly string[],
  before: readonly string[],
  side: number,
  addresses: readonly string[] = ["10.77.0.2/24", "fd77::2/64"],
): Promise<readonly { readonly title: string; readonly code: number | null; readonly text: string }[]> {
  const options = seedOptions({ ...settings, ...engineSettings(engine) });
  const pods = Array.from({ length: side }, () => makePodAndPeer(addresses, ["10.77.0.3/24"]));
  try {
    for (const { pod } of pods) await capture(pod, options);
    const [first] = pods;
    const count = first === undefined ? 0 : deletions(first.pod, engine).length;
    const results: { title: string; code: number | null; text: string }[] = [];
    let next = 0;
    await Promise.all(
      pods.map(async ({ pod }) => {
        for (let at = next++; at < count; at = next++) {
          // Handles change with each load: ask again. The order is the same.
          const mutation = deletions(pod, engine)[at];
          if (mutation === undefined) throw new Error("the rules are not the same as in the other pod");
          pod.sh(...mutation.words);
          results.push({ title: mutation.title, ...(await commandLater(pod, ["iptables", ...flags], before)) });
          await capture(pod, options);
        }
      }),
    );
    return results;
  } finally {
    for (const one of pods) one.done();
  }
}
