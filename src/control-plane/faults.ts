import type { Millis } from "../foundation/time.ts";

/** How the embedded control plane misbehaves, for tests. Nothing set: it behaves. May be changed while it runs. */
export interface Faults {
  /** These calls are taken and never answered. */
  readonly hang?: "ca" | "ads" | "all";
  /** These calls end with this status. */
  readonly refuse?: { readonly calls: "ca" | "ads" | "all"; readonly code: number; readonly text: string };
  /** Every answer comes so much later. */
  readonly delay?: Millis;
  /** The CA's answer is wrong in this way. */
  readonly answer?: WrongAnswer;
  /** Certificates live so long, whatever was asked. */
  readonly lifetime?: Millis;
  /** A connection is cut after so many bytes of ADS answers. */
  readonly dropAfter?: number;
}

export const wrongAnswers = [
  "empty",
  "leaf-only",
  "foreign-key",
  "foreign-root",
  "wrong-name",
  "expired",
  "huge",
  "garbage",
] as const;
export type WrongAnswer = (typeof wrongAnswers)[number];

/** Whether a fault is meant for this call. */
export const hits = (calls: "ca" | "ads" | "all" | undefined, call: "ca" | "ads"): boolean =>
  calls === "all" || calls === call;
