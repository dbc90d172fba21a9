import type { Family } from "./cidr.ts";
import type { Rule } from "./model.ts";
import { ruleWords } from "./restore-text.ts";
import type { Plan } from "./rules.ts";

const familyWord = (families: readonly Family[]): string => families.join("+");

/** One rule as a person knows it: iptables' words, whichever tool loads it. */
export const ruleText = (rule: Rule): string =>
  `${rule.table} -A ${rule.chain} ${ruleWords(rule, rule.families[0] ?? "v4")}`;

/** What the plan does beyond the rules, in words. */
export function planFacts(plan: Plan): readonly string[] {
  const { route } = plan;
  return [
    ...plan.notices,
    ...(plan.rules.length > 0 ? [`ipv6: ${plan.ipv6.does}: ${plan.ipv6.because}`] : []),
    ...(route
      ? [
          `policy route (${familyWord(route.families)}): packets with mark ${route.mark} use table ${route.table}, local`,
        ]
      : []),
    ...(plan.inboundSourceV6 ? ["address ::6/128 on lo: Envoy's inbound side talks to the application from it"] : []),
  ];
}

/** Each rule in the order of evaluation, with its reason. */
export function explainPlan(plan: Plan): string {
  const lines = plan.rules.map(
    (rule) => `${familyWord(rule.families).padEnd(6)} ${ruleText(rule)}\n         # ${rule.reason}`,
  );
  return [...planFacts(plan).map((fact) => `# ${fact}`), ...lines, ""].join("\n");
}
