import { createServer } from "node:net";

/**
 * `count` TCP ports of 127.0.0.1 that are free now, all different, below the ephemeral range so that no outgoing
 * connection takes one between here and the use. Each test process draws from its own place.
 */
export async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  while (found.length < count) {
    const port = 10_000 + ((process.pid * 131 + drawn++ * 7 + Math.floor(Math.random() * 20_000)) % 20_000);
    if (!found.includes(port) && (await isFree(port))) found.push(port);
  }
  return found;
}

let drawn = 0;

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "0.0.0.0", exclusive: true }, () => server.close(() => resolve(true)));
  });
}
