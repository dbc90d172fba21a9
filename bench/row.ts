/** One line of the bench table. */
export interface Row {
  readonly what: string;
  /** The figure with its unit: "131 ms (min 118, max 160)". */
  readonly value: string;
  /** What it is compared with, from the same run: "Envoy alone 74 ms". */
  readonly against?: string;
  readonly goal?: string;
  readonly met?: boolean;
}

export interface BenchGroup {
  readonly name: string;
  readonly run: () => Promise<readonly Row[]>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/** "median unit (min, max)". */
export function spread(values: readonly number[], unit: string, digits = 0): string {
  const at = (value: number): string => value.toFixed(digits);
  return `${at(median(values))} ${unit} (${at(Math.min(...values))} to ${at(Math.max(...values))})`;
}
