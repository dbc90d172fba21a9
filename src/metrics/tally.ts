/** Why samples or whole families of a source did not go out. */
export type DropReason =
  /** The line is not one of this form: a strict reader would refuse the whole page for it. */
  | "syntax"
  /** Not UTF-8, or a NUL byte. */
  | "encoding"
  /** OpenMetrics' rules for the type are broken: a negative counter, buckets that do not add up, … */
  | "semantics"
  /** An earlier family has the name, and the samples could not join it. */
  | "collision"
  /** They could have joined, but the very same series was there already. */
  | "duplicate"
  /** What has to be set aside for a moment was too much. */
  | "buffer";

/** Names of dropped families that are told one by one; a hostile page must not turn our report into another one. */
const MOST_NAMES = 50;
export const OTHER_FAMILIES = "other families";

/** What one source contributed to one page. */
export class Tally {
  readonly source: string;
  /** Bytes of its page, after decompression. */
  bytes = 0;
  samples = 0;
  families = 0;
  /** What the page gave it so far: families that were opened (not all get a sample), bytes that are held. */
  opened = 0;
  held = 0;
  readonly #dropped = new Map<DropReason, number>();
  readonly #families = new Map<string, number>();

  constructor(source: string) {
    this.source = source;
  }

  drop(reason: DropReason, samples: number): void {
    if (samples > 0) this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + samples);
  }

  /** Samples of this family did not go out because an earlier one has the name. */
  dropFrom(family: string, samples: number): void {
    this.drop("collision", samples);
    const name = this.#families.has(family) || this.#families.size < MOST_NAMES ? family : OTHER_FAMILIES;
    this.#families.set(name, (this.#families.get(name) ?? 0) + samples);
  }

  get dropped(): ReadonlyMap<DropReason, number> {
    return this.#dropped;
  }

  get droppedFamilies(): ReadonlyMap<string, number> {
    return this.#families;
  }
}

/** The rest of this source's page is not read: it is broken, or it is too much. */
export class CutOff extends Error {
  override readonly name = "CutOff";
  override readonly cause: FailureCause;
  constructor(cause: FailureCause, text: string) {
    super(text);
    this.cause = cause;
  }
}

/** Why a source is not (wholly) on the page; label `cause` of the failure metrics. */
export type FailureCause =
  | "refused"
  | "status"
  | "content_type"
  | "deadline"
  | "truncated"
  | "too_large"
  | "long_line"
  | "too_many_families"
  | "garbage"
  | "encoding"
  | "error";
