import protobuf from "protobufjs";

/**
 * Envoy's YAML (proto3's JSON form) into bytes, by Envoy's own descriptors. Field names may be written as in the
 * .proto file or in camel case; an unknown field or enum name is an error that says where.
 */
export interface MessageTypes {
  /** The bytes of one message given as JSON with "@type", wrapped as an Any. Throws "cannot use …". */
  encodeAny(json: unknown): EncodedAny;
}

export interface EncodedAny {
  readonly typeUrl: string;
  readonly value: Buffer;
  /** The resource's name: `name`, or `cluster_name` of endpoints. */
  readonly name: string;
}

type JsonObject = Readonly<Record<string, unknown>>;

/** `descriptors`: what scripts/compile-proto.mjs --envoy wrote. */
export function messageTypes(descriptors: unknown): MessageTypes {
  const root = protobuf.Root.fromJSON(descriptors as protobuf.INamespace);
  return { encodeAny: (json) => encodeAny(root, json, "resource") };
}

const wrong = (where: string, what: string): Error => new Error(`cannot use ${where}: ${what}`);

function asObject(json: unknown, where: string): JsonObject {
  if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as JsonObject;
  throw wrong(where, `an object is needed, not ${JSON.stringify(json)}`);
}

function encodeAny(root: protobuf.Root, json: unknown, where: string): EncodedAny {
  const { "@type": typeUrl, ...rest } = asObject(json, where);
  if (typeof typeUrl !== "string") throw wrong(where, `"@type" is missing`);
  const typeName = typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
  const found = root.lookup(typeName);
  if (!(found instanceof protobuf.Type)) throw wrong(where, `no message "${typeName}" is known`);
  const short = typeName.slice(typeName.lastIndexOf(".") + 1);
  const inner = wellKnown[typeName] !== undefined && "value" in rest ? rest["value"] : rest;
  const message = convert(root, found, inner, short);
  const name = rest["name"] ?? rest["cluster_name"] ?? rest["clusterName"];
  return {
    typeUrl,
    value: Buffer.from(found.encode(found.fromObject(message)).finish()),
    name: typeof name === "string" ? name : "",
  };
}

function convert(root: protobuf.Root, type: protobuf.Type, json: unknown, where: string): Record<string, unknown> {
  const special = wellKnown[type.fullName.replace(/^\./, "")];
  if (special !== undefined) return special(json, where, root);
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(asObject(json, where))) {
    const field = type.fields[key] ?? type.fields[protobuf.util.camelCase(key)];
    if (field === undefined) throw wrong(`${where}.${key}`, `${type.name} has no such field`);
    if (value === null) continue;
    out[field.resolve().name] = convertField(root, field, value, `${where}.${key}`);
  }
  return out;
}

function convertField(root: protobuf.Root, field: protobuf.Field, value: unknown, where: string): unknown {
  if (field instanceof protobuf.MapField) {
    return Object.fromEntries(
      Object.entries(asObject(value, where)).map(([key, one]) => [
        key,
        convertOne(root, field, one, `${where}.${key}`),
      ]),
    );
  }
  if (!field.repeated) return convertOne(root, field, value, where);
  if (!Array.isArray(value)) throw wrong(where, "a list is needed");
  return value.map((one, index) => convertOne(root, field, one, `${where}[${index}]`));
}

function convertOne(root: protobuf.Root, field: protobuf.Field, value: unknown, where: string): unknown {
  const type = field.resolvedType;
  if (type instanceof protobuf.Enum) return enumValue(type, value, where);
  if (type instanceof protobuf.Type) return convert(root, type, value, where);
  if (field.type === "string") {
    if (typeof value !== "string") throw wrong(where, `a text is needed, not ${JSON.stringify(value)}`);
    return value;
  }
  if (field.type === "bytes") return Buffer.from(String(value), "base64");
  if (field.type === "bool") {
    if (typeof value !== "boolean") throw wrong(where, `true or false is needed, not ${JSON.stringify(value)}`);
    return value;
  }
  if (typeof value === "number" || (typeof value === "string" && Number.isFinite(Number(value)))) return Number(value);
  throw wrong(where, `a number is needed, not ${JSON.stringify(value)}`);
}

function enumValue(type: protobuf.Enum, value: unknown, where: string): number {
  if (typeof value === "number") return value;
  const found = type.values[String(value)];
  if (found !== undefined) return found;
  throw wrong(where, `"${String(value)}" is none of ${Object.keys(type.values).join(", ")}`);
}

type Special = (json: unknown, where: string, root: protobuf.Root) => Record<string, unknown>;

/** A wrapped number, text or boolean is written bare; it is checked like a field of its kind. */
const wrapper =
  (name: string): Special =>
  (json, where, root) => {
    const field = root.lookupType(name).fields["value"];
    return field === undefined ? {} : { value: convertOne(root, field.resolve(), json, where) };
  };

function duration(json: unknown, where: string): Record<string, unknown> {
  const found = /^(-?\d+)(?:\.(\d{1,9}))?s$/.exec(String(json));
  if (found === null) throw wrong(where, `"${String(json)}" is not a duration; write "1.5s"`);
  return { seconds: Number(found[1]), nanos: Number((found[2] ?? "").padEnd(9, "0")) };
}

const struct: Special = (json, where) => ({
  fields: Object.fromEntries(
    Object.entries(asObject(json, where)).map(([key, value]) => [key, structValue(value, where)]),
  ),
});

function structValue(json: unknown, where: string): Record<string, unknown> {
  if (json === null) return { nullValue: 0 };
  if (typeof json === "boolean") return { boolValue: json };
  if (typeof json === "number") return { numberValue: json };
  if (typeof json === "string") return { stringValue: json };
  if (Array.isArray(json)) return { listValue: { values: json.map((one) => structValue(one, where)) } };
  return { structValue: struct(json, where, new protobuf.Root()) };
}

const google = "google.protobuf";
/** Messages whose JSON form is not that of their fields. */
const wellKnown: Readonly<Record<string, Special>> = {
  [`${google}.Any`]: (json, where, root) => {
    const { typeUrl, value } = encodeAny(root, json, where);
    // protobufjs' built-in Any keeps the field's name as it is in the .proto file.
    return { type_url: typeUrl, typeUrl, value };
  },
  [`${google}.Duration`]: (json, where) => duration(json, where),
  [`${google}.Struct`]: struct,
  [`${google}.Value`]: (json, where) => structValue(json, where),
  ...Object.fromEntries(
    ["Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String"].map((kind) => [
      `${google}.${kind}Value`,
      wrapper(`${google}.${kind}Value`),
    ]),
  ),
};
