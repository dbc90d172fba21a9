import { connect, createServer, type Server, type Socket } from "node:net";

/** Accepts on a TCP address and passes the bytes on to a unix socket, both ways. */
export interface PortForwarder {
  /** Whoever holds the port may have gone: tries at once. */
  tryNow(): void;
  close(): void;
}

/** A second Envoy's admin is asked by people and probes, not by load. */
const MOST_AT_ONCE = 64;

/**
 * Listens on `at`; `to` is asked for the unix socket at every connection. While somebody else holds the port it is tried
 * again: whoever calls reaches that one meanwhile.
 */
export function forwardPort(
  at: { readonly host: string; readonly port: number },
  to: () => string | undefined,
  hooks: { readonly retryAfter: (again: () => void) => () => void; readonly onProblem: (error: Error) => void },
): PortForwarder {
  const sockets = new Set<Socket>();
  let cancelRetry: (() => void) | undefined;
  let closed = false;
  const server: Server = createServer({ allowHalfOpen: true }, (caller) => pass(caller, to(), sockets));
  server.maxConnections = MOST_AT_ONCE;
  const listen = (): void => {
    cancelRetry = undefined;
    if (!closed) server.listen({ host: at.host, port: at.port });
  };
  server.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EADDRINUSE") hooks.onProblem(error);
    else if (!closed) cancelRetry = hooks.retryAfter(listen);
  });
  listen();
  return {
    tryNow() {
      if (cancelRetry === undefined) return;
      cancelRetry();
      listen();
    },
    close() {
      closed = true;
      cancelRetry?.();
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function pass(caller: Socket, path: string | undefined, sockets: Set<Socket>): void {
  if (path === undefined) {
    caller.destroy();
    return;
  }
  const envoy = connect({ path, allowHalfOpen: true });
  for (const [one, other] of [
    [caller, envoy],
    [envoy, caller],
  ] as const) {
    sockets.add(one);
    one.on("error", () => other.destroy());
    one.on("close", () => {
      sockets.delete(one);
      other.destroy();
    });
    one.pipe(other);
  }
}
