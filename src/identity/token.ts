import { readText } from "../system/files.ts";

/** A bearer token as it stands in its file now. */
export interface Token {
  readonly text: string;
  /** When it ends, from the JWT's `exp`; undefined for another kind of token. Its signature is not ours to check. */
  readonly expires: Date | undefined;
}

/** Reads the token; undefined when there is no file or it is empty: the peer then sends none. */
export function readToken(path: string): Token | undefined {
  const text = readText(path, 1024 * 1024)?.trim();
  return text === undefined || text === "" ? undefined : { text, expires: expiryOf(text) };
}

export function expiryOf(token: string): Date | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));
    const exp = typeof claims === "object" && claims !== null && "exp" in claims ? claims.exp : undefined;
    return typeof exp === "number" ? new Date(exp * 1_000) : undefined;
  } catch {
    return undefined;
  }
}
