import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { renderBootstrap } from "../../src/bootstrap/render-bootstrap.ts";
import type { AgentConfig, Json } from "../../src/config/agent-config.ts";
import { configFixture } from "./config-fixture.ts";

/** Every place of a configuration from which a text of somebody else's gets into the bootstrap. */
const PLACES = 30;

function configWith(texts: readonly string[], role: AgentConfig["role"]): AgentConfig {
  let next = 0;
  const text = (): string => texts[next++] ?? "";
  return configFixture({
    role,
    node: {
      nodeId: text(),
      cluster: text(),
      podName: text(),
      domain: text(),
      locality: { region: text(), zone: text(), subZone: text() },
      labels: new Map([[text(), text()]]),
      metadata: { [text()]: text(), LABELS: { [text()]: text() }, LIST: [text(), { [text()]: [text()] }] },
    },
    bootstrap: { directory: text(), outlierLogPath: text(), loadStatsConfig: { [text()]: text() } },
    proxy: {
      runtimeValues: new Map([[text(), text()]]),
      proxyStatsMatcher: { inclusionPrefixes: [text()], inclusionSuffixes: [text()], inclusionRegexps: [text()] },
      tracing: { kind: "datadog", address: "agent:1" },
      envoyMetricsService: {
        address: "metrics:1",
        tls: {
          mode: "MUTUAL",
          clientCertificate: text(),
          privateKey: text(),
          caCertificates: text(),
          sni: text(),
          // A DNS name or a URI by what is in it: kept apart here, so that the kind does not depend on the text.
          subjectAltNames: [`uri://${text()}`],
        },
        tcpKeepalive: undefined,
      },
    },
  });
}

const render = async (texts: readonly string[], role: AgentConfig["role"]): Promise<string> =>
  (await renderBootstrap(configWith(texts, role), {})).text;

const marker = (index: number): string => `<<marker ${index}>>`;
const markers = Array.from({ length: PLACES }, (_, index) => marker(index));

/** Puts the texts where the markers are, in values and in keys. */
function withTexts(value: Json, texts: readonly string[]): Json {
  const put = (text: string): string =>
    text.replace(/<<marker (\d+)>>/g, (_, index: string) => texts[Number(index)] ?? "");
  if (typeof value === "string") return put(value);
  if (Array.isArray(value)) return value.map((one: Json) => withTexts(one, texts));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [put(key), withTexts(one, texts)]));
}

const nasty = fc.constantFrom(
  '"',
  "\\",
  "\n",
  "\u0000",
  "\u2028",
  "${",
  "${node.id}",
  "$${",
  "}",
  "{",
  "$eval",
  "$if",
  "$map",
  "$$x",
  "{{",
  "%REQ(x)%",
  "'",
  "]",
  ",",
  ":",
  "__proto__",
  "constructor",
  "\ud83d\ude00",
  "é",
  " ",
  "//",
  "<!--",
  "$(HOST_IP)",
);
/** Mostly what could hurt, sometimes anything at all. */
const anyText = fc.oneof(
  fc.array(nasty, { minLength: 1, maxLength: 6 }).map((parts) => parts.join("")),
  fc.string({ unit: "grapheme", minLength: 1 }),
);
/** Taken apart by their place, so that no key meets another and no word has a meaning of its own ("true", ""). */
const anyTexts = fc
  .array(anyText, { minLength: PLACES, maxLength: PLACES })
  .map((list) => list.map((text, at) => `${text}~${at}`));
const anyRole = fc.constantFrom<AgentConfig["role"]>("sidecar", "router", "waypoint");

describe("a value can't break the bootstrap", () => {
  test("every text stays itself, in its place, and nothing else changes", async () => {
    await fc.assert(
      fc.asyncProperty(anyTexts, anyRole, async (texts, role) => {
        const plain = JSON.parse(await render(markers, role)) as Json;
        expect(JSON.parse(await render(texts, role))).toEqual(withTexts(plain, texts));
      }),
      { numRuns: 150 },
    );
  });

  test("every marker is somewhere, so that the property says something", async () => {
    const text = await render(markers, "sidecar");
    const missing = markers.filter((one) => !text.includes(one));
    // Pod name, domain and labels are for a user's template; the built-in ones have them inside the metadata.
    expect(missing).toHaveLength(4);
  });

  test("a user's template can't be broken either", async () => {
    const template = JSON.stringify({ name: "${pod.name}", "key ${pod.domain}": { $eval: "pod.labels" } });
    await fc.assert(
      fc.asyncProperty(anyTexts, async (texts) => {
        const { text } = await renderBootstrap(configWith(texts, "sidecar"), { template });
        const { admin: _, ...rest } = JSON.parse(text) as Record<string, Json>;
        const [, , name = "", domain = "", , , , key = "", value = ""] = texts;
        expect(rest).toEqual({ name, [`key ${domain}`]: { [key]: value } });
      }),
      { numRuns: 50 },
    );
  });

  test("text that is no Unicode becomes U+FFFD, because Envoy would refuse the whole file", async () => {
    const text = await render(["a\ud800b", ...markers.slice(1)], "sidecar");
    expect(text).toContain('"id": "a\ufffdb"');
  });
});
