import { connect, type Socket } from "node:net";
import { errorCode } from "../foundation/errors.ts";

/** A TCP connection for a probe. */
export interface ProbeDial {
  /** An address, not a name: nothing is looked up. */
  readonly host: string;
  readonly port: number;
  /** Local address to come from; where the machine does not have it, the connection comes from the usual one. */
  readonly source: string | undefined;
  /** Ends the attempt; the reason of the abort is the error. */
  readonly signal: AbortSignal;
}

/** Connects; rejects with Node's error, or the abort's reason. */
export async function dialProbe(dial: ProbeDial): Promise<Socket> {
  try {
    return await connectOnce(dial);
  } catch (error) {
    // No capture rules, no ::6 on lo: then nothing depends on the source either.
    const bind = error instanceof Error && "syscall" in error && error.syscall === "bind";
    if (!bind || errorCode(error) !== "EADDRNOTAVAIL") throw error;
    return connectOnce({ ...dial, source: undefined });
  }
}

function connectOnce({ host, port, source, signal }: ProbeDial): Promise<Socket> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true, ...(source === undefined ? {} : { localAddress: source }) });
    const onAbort = () => socket.destroy(signal.reason as Error);
    signal.addEventListener("abort", onAbort);
    socket.once("error", (error) => {
      signal.removeEventListener("abort", onAbort);
      reject(error);
    });
    socket.once("connect", () => {
      signal.removeEventListener("abort", onAbort);
      socket.removeAllListeners("error");
      resolve(socket);
    });
  });
}
