const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 48 && byte <= 57;

/**
 * The place behind a number, or 0: digits, a fraction, an exponent of at most two digits (so that nothing overflows),
 * or NaN, +Inf, -Inf as they are usually written.
 */
export function numberEnd(bytes: Uint8Array, start: number): number {
  let i = start;
  const sign = bytes[i];
  if (sign === 43 || sign === 45) i++;
  if (bytes[i] === 78) return sign === 78 && bytes[i + 1] === 97 && bytes[i + 2] === 78 ? i + 3 : 0;
  if (bytes[i] === 73) return i > start && bytes[i + 1] === 110 && bytes[i + 2] === 102 ? i + 3 : 0;
  const whole = i;
  while (isDigit(bytes[i])) i++;
  if (i === whole) return 0;
  if (bytes[i] === 46) {
    const fraction = ++i;
    while (isDigit(bytes[i])) i++;
    if (i === fraction) return 0;
  }
  if (i - start > 40) return 0;
  if (bytes[i] !== 101 && bytes[i] !== 69) return i;
  i++;
  if (bytes[i] === 43 || bytes[i] === 45) i++;
  const exponent = i;
  while (isDigit(bytes[i])) i++;
  return i === exponent || i - exponent > 2 ? 0 : i;
}

/** The place behind a time stamp (digits, or digits with a fraction in OpenMetrics), or 0. */
export function timeEnd(bytes: Uint8Array, start: number): number {
  let i = start;
  if (bytes[i] === 45) i++;
  const whole = i;
  while (isDigit(bytes[i])) i++;
  if (i === whole || i - whole > 15) return 0;
  if (bytes[i] !== 46) return i;
  const fraction = ++i;
  while (isDigit(bytes[i])) i++;
  return i === fraction || i - fraction > 9 ? 0 : i;
}

/** The number that stands in these bytes; they passed `numberEnd`. */
export function numberIn(bytes: Uint8Array, start: number, end: number): number {
  if (end - start <= 15) {
    let value = 0;
    let i = start;
    for (; i < end && isDigit(bytes[i]); i++) value = value * 10 + (bytes[i] as number) - 48;
    if (i === end) return value;
  }
  return parseNumber(String.fromCharCode(...bytes.subarray(start, end))) ?? Number.NaN;
}

/** A number as both forms may spell it; undefined when it is none or too large for a double (a strict reader's error). */
export function parseNumber(text: string): number | undefined {
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) {
    const value = Number(text);
    return Number.isFinite(value) ? value : undefined;
  }
  if (/^[+-]?nan$/i.test(text)) return Number.NaN;
  if (/^\+?inf(inity)?$/i.test(text)) return Number.POSITIVE_INFINITY;
  return /^-inf(inity)?$/i.test(text) ? Number.NEGATIVE_INFINITY : undefined;
}
