/**
 * One event at a time: `post` may be called from anywhere, also from within the handler; the handler is never entered
 * twice. That is what makes a driver's state change and its effects one step.
 */
export class Mailbox<E> {
  readonly #waiting: E[] = [];
  readonly #handle: (event: E) => void;
  #busy = false;

  constructor(handle: (event: E) => void) {
    this.#handle = handle;
  }

  post(event: E): void {
    this.#waiting.push(event);
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (;;) {
        const next = this.#waiting.shift();
        if (next === undefined) break;
        this.#handle(next);
      }
    } finally {
      this.#busy = false;
    }
  }
}
