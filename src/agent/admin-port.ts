import type { Log } from "../foundation/log.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import type { HttpTarget } from "../system/http-client.ts";
import { forwardPort, type PortForwarder } from "../system/port-forwarder.ts";

const AGAIN: Millis = 100;

/**
 * The admin's port of the bootstrap, while the Envoy that serves has its admin on a socket of its own (after a swap two
 * Envoys cannot share the port): we listen there and pass on. The old Envoy answers there as long as it lives.
 */
export class AdminPort {
  readonly #usual: HttpTarget | undefined;
  readonly #log: Log;
  readonly #clock: Clock;
  #path: string | undefined;
  #forwarder: PortForwarder | undefined;

  constructor(usual: HttpTarget | undefined, log: Log, clock: Clock) {
    this.#usual = usual;
    this.#log = log;
    this.#clock = clock;
  }

  /** `target`: where the serving Envoy's admin answers now. */
  follow(target: HttpTarget): void {
    this.#path = "socketPath" in target ? target.socketPath : undefined;
    const needed = this.#path !== undefined && this.#usual !== undefined && "port" in this.#usual;
    if (!needed) return this.close();
    if (this.#usual === undefined || !("port" in this.#usual)) return;
    // Something has changed: perhaps the old Envoy has gone.
    this.#forwarder?.tryNow();
    this.#forwarder ??= forwardPort(this.#usual, () => this.#path, {
      retryAfter: (again) => this.#clock.after(AGAIN, again),
      onProblem: (error) => this.#log.warn("The admin's port does not answer", { error }),
    });
  }

  close(): void {
    this.#forwarder?.close();
    this.#forwarder = undefined;
  }
}
