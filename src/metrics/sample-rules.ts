import { isPlainLabel, isPlainName } from "./exposition.ts";
import type { Sample } from "./line-parse.ts";
import type { SampleKind } from "./naming.ts";
import { numberEnd, numberIn, parseNumber } from "./numbers.ts";

/** The number in a label's value. */
export function boundIn(bytes: Uint8Array, start: number, end: number): number {
  if (numberEnd(bytes, start) === end) return numberIn(bytes, start, end);
  return parseNumber(Buffer.from(bytes.subarray(start, end)).toString()) ?? Number.NaN;
}

/** The number in a label, undefined when there is none. */
export function boundOf(sample: Sample, label: string): number | undefined {
  const text = sample.labels.find(([name]) => name === label)?.[1];
  return text === undefined ? undefined : parseNumber(text);
}

/** Whether the number that begins with this byte may be a counter's: neither negative nor NaN. */
export const isCount = (first: number | undefined): boolean => first !== 45 && first !== 78;

/** The label that is not part of a group's identity. */
export const pairOf = (kind: SampleKind): "" | "le" | "quantile" =>
  kind === "bucket" ? "le" : kind === "quantile" ? "quantile" : "";

export const isPlainSample = ({ name, labels }: Sample): boolean =>
  isPlainName(name) && labels.every(([label]) => isPlainLabel(label));

export const hasLabel = ({ labels }: Sample, label: string): boolean => labels.some(([name]) => name === label);
