/** Envoy's protobuf page and the text page that says the same, both written for the tests from one description. */
export interface FamilyGiven {
  readonly name: string;
  readonly type: "counter" | "gauge" | "summary" | "untyped" | "histogram";
  readonly metrics: readonly MetricGiven[];
}

export interface MetricGiven {
  readonly labels: readonly (readonly [string, string])[];
  readonly value?: number;
  /** Bounds (or quantiles) with their counts (or values). */
  readonly parts?: readonly (readonly [number, number])[];
  readonly sum?: number;
  readonly count?: number;
}

const types = ["counter", "gauge", "summary", "untyped", "histogram"];
/** The field of Metric that has the value, by type. */
const valueFields = [3, 2, 4, 5, 7];

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
}

const withLength = (field: number, body: Buffer): Buffer =>
  Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);
const text = (field: number, value: string): Buffer => withLength(field, Buffer.from(value));
const whole = (field: number, value: number): Buffer => Buffer.concat([varint(field * 8), varint(value)]);
function double(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(9, field * 8 + 1);
  bytes.writeDoubleLE(value, 1);
  return bytes;
}

function metric(type: number, { labels, value = 0, parts = [], sum = 0, count = 0 }: MetricGiven): Buffer {
  const pairs = labels.map(([name, one]) => withLength(1, Buffer.concat([text(1, name), text(2, one)])));
  const histogram = type === 4;
  const part = ([bound, amount]: readonly [number, number]): Buffer =>
    histogram
      ? withLength(3, Buffer.concat([whole(1, amount), double(2, bound)]))
      : withLength(3, Buffer.concat([double(1, bound), double(2, amount)]));
  const body = histogram || type === 2 ? [whole(1, count), double(2, sum), ...parts.map(part)] : [double(1, value)];
  return withLength(4, Buffer.concat([...pairs, withLength(valueFields[type] ?? 5, Buffer.concat(body))]));
}

export function protobufPage(families: readonly FamilyGiven[]): Buffer {
  return Buffer.concat(
    families.map(({ name, type, metrics }) => {
      const number = types.indexOf(type);
      const body = Buffer.concat([text(1, name), whole(3, number), ...metrics.map((one) => metric(number, one))]);
      return Buffer.concat([varint(body.length), body]);
    }),
  );
}

const escaped = (value: string): string => value.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n");
const braces = (labels: MetricGiven["labels"]): string =>
  `{${labels.map(([name, value]) => `${name}="${escaped(value)}"`).join(",")}}`;
const amount = (value: number): string =>
  Number.isNaN(value) ? "NaN" : Number.isFinite(value) ? String(value) : value > 0 ? "+Inf" : "-Inf";

function lines(
  name: string,
  type: string,
  { labels, value = 0, parts = [], sum = 0, count = 0 }: MetricGiven,
): string[] {
  if (type !== "histogram" && type !== "summary") return [`${name}${braces(labels)} ${amount(value)}`];
  const [suffix, label] = type === "histogram" ? ["_bucket", "le"] : ["", "quantile"];
  const all = type === "histogram" && parts.at(-1)?.[0] !== Number.POSITIVE_INFINITY;
  const rows = all ? [...parts, [Number.POSITIVE_INFINITY, count] as const] : parts;
  return [
    ...rows.map(([bound, one]) => `${name}${suffix}${braces([...labels, [label, amount(bound)]])} ${amount(one)}`),
    `${name}_sum${braces(labels)} ${amount(sum)}`,
    `${name}_count${braces(labels)} ${count}`,
  ];
}

export const textPage = (families: readonly FamilyGiven[]): string =>
  families
    .flatMap(({ name, type, metrics }) => [
      `# TYPE ${name} ${type}`,
      ...metrics.flatMap((one) => lines(name, type, one)),
    ])
    .map((line) => `${line}\n`)
    .join("");
