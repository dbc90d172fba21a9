import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { explainPlan } from "../../src/capture/explain.ts";
import { nftScript } from "../../src/capture/nft-script.ts";
import { restoreText, ruleWords } from "../../src/capture/restore-text.ts";
import { planCapture } from "../../src/capture/rules.ts";
import { root } from "../helpers/paths.ts";
import { factsOf, optionSets, optionsOf } from "./option-sets.ts";

const folder = join(root, "test/golden/capture");
const update = process.env["UPDATE_GOLDEN"] === "1";

function golden(name: string, text: string): void {
  const path = join(folder, name);
  if (update) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(path, text);
  }
  expect(existsSync(path), `${name} is missing; UPDATE_GOLDEN=1 writes it`).toBe(true);
  expect(text).toBe(readFileSync(path, "utf8"));
}

describe("capture rules", () => {
  test.each(optionSets)("$title is as in its golden file", (one) => {
    const plan = planCapture(optionsOf(one).capture, factsOf(one));
    const part = (title: string, text: string): string => `===== ${title}\n${text}`;
    golden(
      `${one.title}.txt`,
      [
        part("explain", explainPlan(plan)),
        part("iptables-restore", restoreText(plan.rules, "v4")),
        part("ip6tables-restore", restoreText(plan.rules, "v6")),
        part("nft", nftScript(plan.rules)),
      ].join(""),
    );
  });

  test("every golden file belongs to an option set", () => {
    expect(readdirSync(folder).toSorted()).toEqual(optionSets.map((one) => `${one.title}.txt`).toSorted());
  });

  test.each(optionSets)("$title: every rule has a reason that fits into an nft comment", (one) => {
    for (const rule of planCapture(optionsOf(one).capture, factsOf(one)).rules) {
      expect(rule.reason).toMatch(/^[^"\n]{3,120}$/);
      expect(rule.families.length).toBeGreaterThan(0);
    }
  });
});

/** Table 2.1 of the facts about Istio's tool: what it loads for the seed's command, in its order, by chain. */
const peerSeedRules: Readonly<Record<string, readonly string[]>> = {
  ISTIO_INBOUND: [
    "-p tcp --dport 15008 -j RETURN",
    "-p tcp --dport 15090 -j RETURN",
    "-p tcp --dport 15020 -j RETURN",
    "-p tcp -j ISTIO_IN_REDIRECT",
  ],
  ISTIO_REDIRECT: ["-p tcp -j REDIRECT --to-ports 15001"],
  ISTIO_IN_REDIRECT: ["-p tcp -j REDIRECT --to-ports 15006"],
  PREROUTING: ["-p tcp -j ISTIO_INBOUND"],
  OUTPUT: ["-j ISTIO_OUTPUT"],
  ISTIO_OUTPUT: [
    "-o lo -s 127.0.0.6/32 -j RETURN",
    "-p tcp -o lo ! -d 127.0.0.1/32 ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT",
    "-p tcp -o lo ! -d 127.0.0.1/32 ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT",
    // Two rules there; one here, so that the gid's rules are not dead.
    "-o lo -m owner ! --uid-owner 1337 -m owner ! --gid-owner 1337 -j RETURN",
    "-m owner --uid-owner 1337 -j RETURN",
    "-m owner --gid-owner 1337 -j RETURN",
    "-d 127.0.0.1/32 -j RETURN",
    "-p tcp -j ISTIO_REDIRECT",
  ],
};

test("the seed's command gives the rules of Istio's tool, first packets only", () => {
  const [seed] = optionSets;
  expect(seed?.title).toBe("seed");
  if (seed === undefined) return;
  const plan = planCapture(optionsOf(seed).capture, factsOf(seed));
  const ours: Record<string, string[]> = {};
  for (const rule of plan.rules) {
    expect(rule.table).toBe("nat");
    ours[rule.chain] = [...(ours[rule.chain] ?? []), ruleWords(rule, "v4").replace(" --syn", "")];
  }
  expect(ours).toEqual(peerSeedRules);
});
