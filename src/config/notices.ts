/** Sentences about what was accepted but does nothing, or something else than one might think; each once. */
export class Notices {
  readonly #found = new Set<string>();

  add(sentence: string): void {
    this.#found.add(sentence);
  }

  get all(): readonly string[] {
    return [...this.#found];
  }
}
