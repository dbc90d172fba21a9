import { readFileSync } from "node:fs";
import { join } from "node:path";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import { messageTypes } from "../../src/control-plane/json-to-proto.ts";
import { root } from "../helpers/paths.ts";

const descriptors: unknown = JSON.parse(readFileSync(join(root, "dist/envoy-descriptors.json"), "utf8"));
const types = messageTypes(descriptors);
const tree = protobuf.Root.fromJSON(descriptors as protobuf.INamespace);

const url = (name: string): string => `type.googleapis.com/${name}`;
const CLUSTER = "envoy.config.cluster.v3.Cluster";
const encode = (more: object) => types.encodeAny({ "@type": url(CLUSTER), name: "c", ...more });
/** What protobufjs itself makes of the bytes. */
const decoded = (more: object) =>
  tree.lookupType(CLUSTER).toObject(tree.lookupType(CLUSTER).decode(encode(more).value), {
    enums: String,
    longs: Number,
  });

describe("Envoy's YAML as protobuf", () => {
  test.each([
    [
      "names as in the .proto file",
      { connect_timeout: "0.25s" },
      { connectTimeout: { seconds: 0, nanos: 250_000_000 } },
    ],
    ["names in camel case", { connectTimeout: "5s" }, { connectTimeout: { seconds: 5, nanos: 0 } }],
    [
      "enums by name and by number",
      { type: "STRICT_DNS", dns_lookup_family: 2 },
      { type: "STRICT_DNS", dnsLookupFamily: "V6_ONLY" },
    ],
    [
      "wrapped numbers",
      { per_connection_buffer_limit_bytes: 32768 },
      { perConnectionBufferLimitBytes: { value: 32768 } },
    ],
    ["null is as good as nothing", { alt_stat_name: null }, {}],
  ])("%s", (_title, given, expected) => expect(decoded(given)).toMatchObject(expected));

  test("maps, Any and Struct inside", () => {
    const made = decoded({
      metadata: { filter_metadata: { x: { a: 1, b: [true, null, "s"], c: { d: "e" } } } },
      typed_extension_protocol_options: {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
          "@type": url("envoy.extensions.upstreams.http.v3.HttpProtocolOptions"),
          explicit_http_config: { http2_protocol_options: {} },
        },
      },
    });
    const fields = made["metadata"].filterMetadata.x.fields;
    expect(fields.a.numberValue).toBe(1);
    expect(fields.b.listValue.values).toHaveLength(3);
    expect(fields.c.structValue.fields.d.stringValue).toBe("e");
    expect(JSON.stringify(made)).toContain("HttpProtocolOptions");
  });

  test("the name of endpoints is their cluster's", () => {
    const type = url("envoy.config.endpoint.v3.ClusterLoadAssignment");
    expect(types.encodeAny({ "@type": type, cluster_name: "x" })).toMatchObject({ name: "x", typeUrl: type });
  });

  test.each([
    [
      "an unknown field, with its place",
      { load_assignment: { endpoint: [] } },
      "Cluster.load_assignment.endpoint: ClusterLoadAssignment has no such field",
    ],
    ["a wrong enum", { type: "STATICK" }, 'Cluster.type: "STATICK" is none of STATIC, STRICT_DNS'],
    ["a wrong duration", { connect_timeout: "5" }, 'Cluster.connect_timeout: "5" is not a duration'],
    [
      "a text for a number",
      { per_connection_buffer_limit_bytes: {} },
      "Cluster.per_connection_buffer_limit_bytes: a number is needed, not {}",
    ],
    ["a list for an object", { load_assignment: [] }, "Cluster.load_assignment: an object is needed"],
    [
      "an object for a list",
      { load_assignment: { endpoints: {} } },
      "Cluster.load_assignment.endpoints: a list is needed",
    ],
    ["a number for a text", { alt_stat_name: 5 }, "Cluster.alt_stat_name: a text is needed, not 5"],
    ["an Any without its type", { typed_extension_protocol_options: { a: {} } }, '"@type" is missing'],
    [
      "an unknown message inside",
      { typed_extension_protocol_options: { a: { "@type": url("a.B") } } },
      'no message "a.B" is known',
    ],
  ])("%s is an error", (_title, given, says) => expect(() => encode(given)).toThrow(says));

  test.each([[null], ["text"], [[]], [5]])("%j is no resource", (json) => {
    expect(() => types.encodeAny(json)).toThrow("cannot use resource: an object is needed");
  });
});
