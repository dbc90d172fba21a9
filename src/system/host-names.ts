import { lookup } from "node:dns/promises";

/**
 * An address of a host name, by the system's own way (hosts file, then name servers); undefined when there is none.
 * It can't be cancelled: a caller that does not want to wait races it against a deadline.
 */
export async function addressOf(name: string, family: "v4" | "v6" | "any"): Promise<string | undefined> {
  try {
    return (await lookup(name, { family: family === "v4" ? 4 : family === "v6" ? 6 : 0 })).address;
  } catch {
    return undefined;
  }
}
