/** Kubernetes' quantities, as far as two of them must be compared. */

const factors: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The amount as a number, or undefined when the text is no quantity. Negative ones are none for a container. */
export function quantityOf(text: string): number | undefined {
  const found = /^(\d+(?:\.\d*)?|\.\d+)(?:([eE][+-]?\d{1,3})|([numkMGTPE]|[KMGTPE]i)?)$/.exec(text);
  if (found === null) return undefined;
  return Number(`${found[1]}${found[2] ?? ""}`) * (factors[found[3] ?? ""] ?? 1);
}

export const isQuantity = (text: string): boolean => quantityOf(text) !== undefined;
