/** As many as C is told to print. */
const DIGITS = 32;

/** How Envoy's text page spells a number (C's "%.32g"): bounds of buckets are names, so they must be the same letters. */
export function printed(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e32) return BigInt(value).toString();
  const [digits = "", exponent] = value.toPrecision(DIGITS).split("e");
  if (exponent !== undefined) return scientific(digits, Number(exponent));
  // JavaScript goes on without an exponent for two places more than C.
  return size < 1e-4 ? scientific(...shifted(digits)) : withoutZeros(digits);
}

/** "0.0000123" as "1.23" and -5. */
function shifted(digits: string): [digits: string, exponent: number] {
  const found = /^(-?)0\.(0*)(\d)(\d*)$/.exec(digits);
  const [, sign = "", zeros = "", first = "", rest = ""] = found ?? [];
  return [`${sign}${first}.${rest}`, -zeros.length - 1];
}

const scientific = (digits: string, exponent: number): string =>
  `${withoutZeros(digits)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;

const withoutZeros = (digits: string): string => (digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits);
