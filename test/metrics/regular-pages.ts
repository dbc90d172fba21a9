import type { Form } from "../../src/metrics/exposition.ts";
import type { Chance } from "./generated-pages.ts";
import type { Given } from "./merge-pages.ts";

/** Pages as Envoy and client libraries write them, long and regular, some of them with a few odd places. */
export function regularSources(chance: Chance): readonly Given[] {
  return Array.from({ length: 1 + chance.int(2) }, (_, index) => {
    const form: Form = chance.yes(0.8) ? "text" : "openmetrics";
    const regular = Array.from({ length: 1 + chance.int(12) }, () => family(chance, form, chance.int(14))).flat();
    const habit = chance.yes(0.3) ? habitOf(chance) : undefined;
    const lines = habit === undefined ? regular : regular.map((line) => (chance.yes(0.9) ? habit(line) : line));
    const odd = chance.yes(0.6) ? chance.int(6) : 0;
    for (let i = 0; i < odd; i++) spoil(chance, lines);
    return {
      label: `s${index}`,
      form,
      page: `${lines.join("\n")}\n${form === "text" ? "" : "# EOF\n"}`,
      hold: chance.yes(0.8),
    };
  });
}

/** How somebody spaces lines: all in one way, or each in several. */
function habitOf(chance: Chance): (line: string) => string {
  const habits: readonly ((line: string) => string)[] = [
    (line) => `${line}\r`,
    (line) => `${line} `,
    (line) => line.replaceAll(",", ", "),
    (line) => line.replace("{", " {"),
    (line) => line.replace("{", "{ ").replace("}", " }"),
    (line) => line.replaceAll('="', ' = "'),
    (line) => line.replace("}", ",}"),
    (line) => line.replace(/ ([^ "]*)$/, "\t$1"),
    (line) => line.replace(/ ([^ "]*)$/, "  $1 \t"),
    (line) => (line.startsWith("#") ? line : `${line} 1700000000000`),
    (line) => (line.startsWith("#") ? line : `${line}  1700000000`),
    (line) => line.replace(/} /, "}"),
    (line) => ` ${line}`,
    (line) => line.replace(/"([^"]*)"/, '"$1\\\\"'),
  ];
  const some = Array.from({ length: 1 + chance.int(3) }, () => chance.of(habits));
  const all = chance.yes(0.5);
  return (line) => (all ? some.reduce((text, one) => one(text), line) : chance.of(some)(line));
}

/** One family's lines, its comments included. */
function family(chance: Chance, form: Form, number: number): string[] {
  const type = chance.of(["counter", "counter", "gauge", "histogram", "histogram"]);
  const name = `envoy_cluster_${type}_thing_${number}`;
  const total = type === "counter" && (form === "openmetrics" || chance.yes(0.3));
  const said = total && form === "text" ? `${name}_total` : name;
  const help = chance.yes(0.2) ? [`# HELP ${said} Some help`] : [];
  const labels = [["a"], ["a", "b"], ["cluster_name", "response_code", "x"], []][chance.int(4)] ?? [];
  const count = labels.length === 0 ? 1 : 1 + chance.int(chance.of([3, 40, 200]));
  const lines = Array.from({ length: count }, (_, i) => {
    const pairs = labels.map(
      (label, at) => `${label}="${at === 0 ? `outbound|8080||svc-${i}` : chance.of(["200", "é", "a b", ""])}"`,
    );
    return type === "histogram"
      ? histogram(chance, name, pairs)
      : [`${said}${total && form === "openmetrics" ? "_total" : ""}${braces(pairs)} ${amount(chance, type)}`];
  });
  return [...help, `# TYPE ${said} ${type}`, ...lines.flat()];
}

const braces = (pairs: readonly string[]): string => (pairs.length === 0 ? "" : `{${pairs.join(",")}}`);
const amount = (chance: Chance, type: string): string =>
  chance.of(["0", "7", "123", "1.5", "1e+06", "12345678901234567890", type === "gauge" ? "-3" : "3"]);

const bounds = ["0.5", "1", "5", "25", "1e+02", "2500", "10000.25", "+Inf"];

function histogram(chance: Chance, name: string, pairs: readonly string[]): string[] {
  const at = chance.of([pairs.length, pairs.length, 0, 1]);
  let count = 0;
  const buckets = bounds.map((bound) => {
    count += chance.int(3);
    return `${name}_bucket${braces([...pairs.slice(0, at), `le="${bound}"`, ...pairs.slice(at)])} ${count}`;
  });
  const empty = pairs.length === 0 && chance.yes(0.5) ? "{}" : braces(pairs);
  const totals = [`${name}_sum${empty} ${count * 2.5}`, `${name}_count${empty} ${count}`];
  return [...buckets, ...(chance.yes(0.8) ? totals : totals.toReversed())];
}

/** One place made odd: a letter, a line, two lines. */
function spoil(chance: Chance, lines: string[]): void {
  const at = chance.int(lines.length);
  const line = lines[at] ?? "";
  const place = chance.int(line.length + 1);
  const changes: readonly (() => void)[] = [
    () => (lines[at] = line.slice(0, place) + chance.of(letters) + line.slice(place + chance.int(2))),
    () => lines.splice(at, 1),
    () => lines.splice(at, 0, line),
    () => lines.splice(at, 2, lines[at + 1] ?? "", line),
    () =>
      lines.splice(
        at,
        0,
        chance.of(["", "# a comment", "# TYPE other counter", "# HELP x y", line.replace(/[{ ].*/, " 1")]),
      ),
    () => (lines[at] = line.replace(/ [^ ]*$/, chance.of([" -1", " NaN", " +Inf", " 1 1700000000", "", " 1.", " 5x"]))),
    () => (lines[at] = line.replace("{", chance.of(['{__x="1",', '{a="1",', '{le="3",', "{ ", "{,"]))),
    () =>
      (lines[at] = line.replace(
        /_(bucket|sum|count)/,
        chance.of(["_bucket", "_sum", "_count", "_created", "_other", ""]),
      )),
    () => (lines[at] = line.replace(/"([^"]*)"/, chance.of(['"a\\\\"', '"\\""', '"\\n$1"', '"$1']))),
  ];
  chance.of(changes)();
}

const letters = ['"', "\\", "{", "}", ",", " ", "=", "#", "a", "_", "0", "-", ".", "é"];
