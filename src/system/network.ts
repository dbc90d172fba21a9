import type { Socket } from "node:net";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { errorCode } from "../foundation/errors.ts";
import { native, type PeerCredentials } from "./native.ts";

export interface InterfaceAddress {
  readonly interfaceName: string;
  readonly address: string;
  readonly family: "v4" | "v6";
  readonly loopback: boolean;
  readonly linkLocal: boolean;
}

/** Addresses of this network namespace, in the kernel's order. */
export function interfaceAddresses(): readonly InterfaceAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([interfaceName, list]) =>
    (list ?? []).map((one) => ({
      interfaceName,
      address: one.address,
      family: one.family === "IPv6" ? ("v6" as const) : ("v4" as const),
      loopback: one.internal,
      linkLocal: one.address.startsWith("169.254.") || /^fe[89ab]/i.test(one.address),
    })),
  );
}

/** Whether a TCP port could be listened on now: "free", "taken", or the code of another error. */
export function probePort(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) =>
      resolve(errorCode(error) === "EADDRINUSE" ? "taken" : (errorCode(error) ?? "error")),
    );
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve("free")));
  });
}

/** Who is at the other end of a unix socket; undefined without native calls or for another kind of socket. */
export function peerOf(socket: Socket): PeerCredentials | undefined {
  const handle = (socket as unknown as { _handle?: { fd?: number } })._handle;
  return typeof handle?.fd === "number" && handle.fd >= 0 ? native()?.peerCredentials(handle.fd) : undefined;
}

/** `wanted` when it is free, else a free port that the kernel chooses. */
export async function freePort(host: string, wanted: number): Promise<number> {
  if ((await probePort(host, wanted)) === "free") return wanted;
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host, port: 0 }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : wanted));
    });
  });
}
