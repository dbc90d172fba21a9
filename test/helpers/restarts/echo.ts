import { type AddressInfo, createServer, type Socket } from "node:net";

export interface Echo {
  readonly port: number;
  readonly close: () => Promise<void>;
}

/** A TCP server of 127.0.0.1 that says again what it hears, for the load's long connections. */
export async function startEcho(): Promise<Echo> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.setNoDelay(true).pipe(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => open.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}
