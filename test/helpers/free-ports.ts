import { createServer, type Server } from "node:net";

/**
 * `count` TCP ports of 127.0.0.1 that are free now, all different, below the ephemeral range so that no outgoing
 * connection takes one between here and the use. No other call gives them too, in no other process either, until this
 * process ends: two tests that draw at the same moment would else both find the same port free.
 */
export async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  while (found.length < count) {
    const port = 10_000 + ((process.pid * 131 + drawn++ * 7 + Math.floor(Math.random() * 20_000)) % 20_000);
    if ((await isClaimed(port)) && (await isFree(port))) found.push(port);
  }
  return found;
}

let drawn = 0;

/** A name that only one process can hold, and that the kernel takes back when it ends, however it ends. */
function isClaimed(port: number): Promise<boolean> {
  return listens((server) => server.listen({ path: `\0pilotfish-test-port-${port}` })).then((claim) => {
    claim?.unref();
    return claim !== undefined;
  });
}

async function isFree(port: number): Promise<boolean> {
  const server = await listens((one) => one.listen({ port, host: "0.0.0.0", exclusive: true }));
  if (server === undefined) return false;
  await new Promise((resolve) => server.close(resolve));
  return true;
}

/** The server, when it could listen. */
function listens(start: (server: Server) => void): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.once("listening", () => resolve(server));
    start(server);
  });
}
