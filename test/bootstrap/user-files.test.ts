import { describe, expect, test } from "vitest";
import { type BootstrapFiles, renderBootstrap } from "../../src/bootstrap/render-bootstrap.ts";
import type { Json } from "../../src/config/agent-config.ts";
import { InvalidConfig } from "../../src/foundation/errors.ts";
import { configFixture, type Wanted } from "./config-fixture.ts";

async function refusal(wanted: Wanted, files: BootstrapFiles): Promise<string> {
  try {
    await renderBootstrap(configFixture(wanted), files);
  } catch (error) {
    if (error instanceof InvalidConfig) return error.message;
    throw error;
  }
  return "it was accepted";
}

const template = { bootstrap: { kind: "template", path: "/t.json" } } as const;
const custom = { bootstrap: { kind: "custom", path: "/c.yaml" } } as const;
const override = { bootstrap: { overridePath: "/o.yaml" } } as const;

describe("a user's file that can't be used says why", () => {
  test.each<readonly [string, Wanted, BootstrapFiles, RegExp]>([
    [
      "template: unknown name",
      template,
      { template: '{"node": {"id": "${nodeId}"}}' },
      /\/t\.json: cannot render it at node\.id: unknown name "nodeId"; known are .*builtin, .*localhost/,
    ],
    [
      "template: unknown field",
      template,
      { template: '{"a": {"$eval": "pod.nam"}}' },
      /\/t\.json: cannot render it at a: object has no property "nam"/,
    ],
    ["template: unknown part", template, { template: '{"a": {"$eval": "parts.x"}}' }, /object has no property "x"/],
    [
      "template: broken expression",
      template,
      { template: '{"a": "${1 +}"}' },
      /\/t\.json: cannot render it: an expression in it is broken/,
    ],
    [
      "template: unknown operator",
      template,
      { template: '{"a": {"$evil": "x"}}' },
      /\/t\.json: cannot render it at a: .*\$<identifier> is reserved/,
    ],
    [
      "template: gives no object",
      template,
      { template: '{"$eval": "pod.name"}' },
      /\/t\.json: cannot use the result: it is no object/,
    ],
    [
      "template: pilot-agent's language",
      template,
      { template: '{"node": {"id": "{{ .nodeID }}"}}' },
      /\/t\.json: it is a Go template of pilot-agent/,
    ],
    [
      "template: pilot-agent's language, no JSON",
      template,
      { template: '{"a": {{- if .zipkin }} 1 {{ end }} }' },
      /\/t\.json: it is a Go template of pilot-agent/,
    ],
    ["template: empty", template, { template: "" }, /\/t\.json: it is empty, not an object/],
    ["template: a list", template, { template: "[]" }, /\/t\.json: it is a list, not an object/],
    ["custom: broken JSON", custom, { custom: '{"admin": {,}}' }, /\/c\.yaml: cannot read it as JSON: .*in line 1/],
    [
      "custom: broken YAML",
      custom,
      { custom: "admin:\n  a: [1\nb: 2\n" },
      /\/c\.yaml: cannot read it as YAML: .* in line \d/,
    ],
    ["custom: a text", custom, { custom: "hello" }, /\/c\.yaml: it is a string, not an object/],
    [
      "custom: the same key twice",
      custom,
      { custom: "admin: {}\nadmin: {}\n" },
      /\/c\.yaml: cannot read it as YAML: .*unique.* in line 2/,
    ],
    [
      "custom: protobuf",
      { bootstrap: { kind: "custom", path: "/c.pb" } },
      { custom: "x" },
      /\/c\.pb: it is protobuf, which pilotfish does not read/,
    ],
    [
      "override: broken",
      override,
      { override: "a: b: c" },
      /ISTIO_BOOTSTRAP_OVERRIDE \/o\.yaml: cannot read it as YAML/,
    ],
    [
      "override: no HOST_IP",
      { ...override, node: { hostIp: undefined } },
      { override: "a: $(HOST_IP)" },
      /ISTIO_BOOTSTRAP_OVERRIDE \/o\.yaml: "\$\(HOST_IP\)" stands in it, but HOST_IP is not set/,
    ],
  ])("%s", async (_title, wanted, files, expected) => {
    expect(await refusal(wanted, files)).toMatch(expected);
  });

  test("everything that is wrong is said at once", async () => {
    const annotations = new Map([
      ["sidecar.istio.io/statsHistogramBuckets", "[1]"],
      ["sidecar.istio.io/statsCompression", "lzma"],
      ["sidecar.istio.io/statsFlushInterval", "soon"],
    ]);
    const proxy = { tracing: { kind: "zipkin", address: "zipkin" }, statsdUdpAddress: "nowhere" } as const;
    const said = await refusal({ ...override, node: { annotations }, proxy }, { override: "]" });
    for (const name of ["OVERRIDE", "HistogramBuckets", "lzma", '"soon"', '"zipkin" is not', '"nowhere" is not']) {
      expect(said).toContain(name);
    }
  });
});

describe("TLS and tokens that can't be used", () => {
  const tls = {
    mode: "MUTUAL",
    clientCertificate: "/c",
    privateKey: undefined,
    caCertificates: undefined,
    sni: undefined,
    subjectAltNames: [],
  } as const;

  test("MUTUAL without a key", async () => {
    const proxy = { envoyMetricsService: { address: "m:1", tls, tcpKeepalive: undefined } };
    expect(await refusal({ proxy }, {})).toMatch(/envoyMetricsService\.tlsSettings: mode "MUTUAL" needs both/);
  });

  test("an access token with a line end, which is not repeated", async () => {
    const tracing = {
      kind: "opentelemetry",
      address: "c:1",
      accessToken: "secret\n",
      secure: false,
      caCertificatePath: undefined,
    } as const;
    const said = await refusal({ proxy: { tracing } }, {});
    expect(said).toMatch(/access token: it has characters that no header may have/);
    expect(said).not.toContain("secret");
  });
});

describe("what becomes of a user's file", () => {
  const manual = "# by hand\nadmin:\n  address: { pipe: { path: /a.sock } }\n";

  test("a custom file with an admin is used as it is", async () => {
    const rendered = await renderBootstrap(configFixture(custom), { custom: manual });
    expect(rendered).toMatchObject({ text: manual, format: "yaml", usedAsItIs: "/c.yaml" });
    expect(rendered.facts.admin).toEqual({ kind: "pipe", path: "/a.sock" });
  });

  test("one without gets it; everything else keeps its words", async () => {
    const text = "# by hand\nflags_path: on # not true\nlist: [0x10, 1_000]\n";
    const rendered = await renderBootstrap(configFixture(custom), { custom: text });
    expect(rendered.usedAsItIs).toBeUndefined();
    expect(rendered.text.startsWith(text)).toBe(true);
    expect(rendered.facts.admin).toEqual({ kind: "tcp", host: "127.0.0.1", port: 15000 });
  });

  test.each([
    ["in braces", '{a: "on", b: on, c: [x, 1]}'],
    ["indented as a whole", "  a: 1\n  b: 2\n"],
    ["with an end mark", "a: 1\n...\n"],
    ["with anchors", "a: &x {k: v}\nb: *x\nc: {<<: *x, l: w}\n"],
    ["without an end of line", "a: 1"],
    ["with a text over lines", "a: |\n  one\n  two\n"],
  ])("an admin is added to YAML %s, and nothing else changes", async (_title, text) => {
    const { editYaml } = await import("../../src/bootstrap/edit-yaml.ts");
    const before = editYaml(text, {});
    const rendered = await renderBootstrap(configFixture(custom), { custom: text });
    const after = editYaml(rendered.text, {});
    if (!before.ok || !after.ok) throw new Error("it is no YAML");
    const { admin, ...rest } = after.value as Record<string, Json>;
    expect(rest).toEqual(before.value);
    expect(admin).toEqual({ address: { socket_address: { address: "127.0.0.1", port_value: 15000 } } });
  });

  test("YAML under a name that Envoy takes for JSON gets a copy with the right one", async () => {
    const wanted = { bootstrap: { kind: "custom", path: "/c.conf" } } as const;
    const rendered = await renderBootstrap(configFixture(wanted), { custom: manual });
    expect(rendered).toMatchObject({ text: manual, format: "yaml", usedAsItIs: undefined });
  });

  test("an admin of the override counts", async () => {
    const wanted = { bootstrap: { kind: "custom", path: "/c.yaml", overridePath: "/o" } } as const;
    const over = '{"admin":{"address":{"socketAddress":{"address":"127.0.0.1","portValue":7}}}}';
    const rendered = await renderBootstrap(configFixture(wanted), { custom: "node: { id: a }\n", override: over });
    expect(rendered.usedAsItIs).toBe("/c.yaml");
    expect(rendered.facts.admin).toEqual({ kind: "tcp", host: "127.0.0.1", port: 7 });
  });

  test("a template that has no admin gets one on loopback", async () => {
    const { text, facts } = await renderBootstrap(configFixture(template), { template: "{}" });
    expect(JSON.parse(text) as Json).toEqual({
      admin: { address: { socket_address: { address: "127.0.0.1", port_value: 15000 } } },
    });
    expect(facts.hasReadinessListener).toBe(false);
  });

  test("a template may be the built-in one, changed", async () => {
    const { text: builtIn } = await renderBootstrap(configFixture(), {});
    const { text } = await renderBootstrap(configFixture(template), { template: '{"$eval": "builtin"}' });
    expect(text).toBe(builtIn);
  });

  test("an alias bomb is refused, not unfolded", async () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let at = 1; at < 9; at++)
      lines.push(
        `a${at}: &a${at} [${Array(10)
          .fill(`*a${at - 1}`)
          .join(", ")}]`,
      );
    expect(await refusal(custom, { custom: lines.join("\n") })).toMatch(/cannot read it as YAML: .*alias/i);
  });
});

describe("the node's address in an override", () => {
  test.each([
    [
      "an IPv4 address",
      "192.0.2.7",
      '{"a":"$(HOST_IP)","b":"http://$(HOST_IP):80/$(HOST_IP)"}',
      { a: "192.0.2.7", b: "http://192.0.2.7:80/192.0.2.7" },
    ],
    ["an IPv6 address", "fd00::7", '{"a":"$(HOST_IP)","b":"$(HOST_IP):80"}', { a: "fd00::7", b: "[fd00::7]:80" }],
    ["no other name", "192.0.2.7", '{"a":"$(POD_IP)"}', { a: "$(POD_IP)" }],
    ["YAML without quotes", "fd00::7", "a: $(HOST_IP):80\n", { a: "[fd00::7]:80" }],
  ])("%s", async (_title, hostIp, text, expected) => {
    const rendered = await renderBootstrap(configFixture({ ...override, node: { hostIp } }), { override: text });
    const { editYaml } = await import("../../src/bootstrap/edit-yaml.ts");
    expect(editYaml(rendered.override ?? "", {})).toMatchObject({ ok: true, value: expected });
  });

  test("an override without it is passed on byte for byte", async () => {
    const text = "# comment\nadmin: {profile_path: /x}   \n";
    expect((await renderBootstrap(configFixture(override), { override: text })).override).toBe(text);
  });
});
