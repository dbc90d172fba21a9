/** How Envoy's text page spells a number (C's "%.32g"): bounds of buckets are names, so they must be the same letters. */
export function printed(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e32) return BigInt(value).toString();
  if (size >= 1e-4 && size < 1e32) return withoutZeros(value.toPrecision(32));
  const [digits = "", exponent = ""] = value.toExponential(31).split("e");
  return `${withoutZeros(digits)}e${exponent.slice(0, 1)}${exponent.slice(1).padStart(2, "0")}`;
}

const withoutZeros = (digits: string): string => (digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits);
