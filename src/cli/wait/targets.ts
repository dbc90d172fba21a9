import { parseHostPort } from "../../config/units.ts";
import type { Problems } from "../../foundation/problems.ts";

/** One thing to wait for. `name` is what the user wrote, for messages. */
export type Target =
  | { readonly kind: "url"; readonly name: string; readonly url: URL }
  | { readonly kind: "tcp"; readonly name: string; readonly host: string; readonly port: number }
  | {
      readonly kind: "grpc";
      readonly name: string;
      readonly host: string;
      readonly port: number;
      /** Empty: the server as a whole. */
      readonly service: string;
    }
  | { readonly kind: "dns"; readonly name: string; readonly host: string }
  | { readonly kind: "file"; readonly name: string; readonly path: string };

const FORMS =
  "tcp://HOST:PORT, http(s)://HOST[:PORT]/PATH, grpc://HOST:PORT[/SERVICE], dns:NAME, file:/PATH, or proxy for this pod's proxy";

/** A target as `--for` has it; a text that is none becomes a problem of that flag and gives undefined. */
export function readTarget(flag: string, text: string, proxy: URL, problems: Problems): Target | undefined {
  const wrong = (why: string): undefined => {
    problems.add(flag, why);
    return undefined;
  };
  if (text === "proxy") return { kind: "url", name: proxy.href, url: proxy };
  const [, scheme = "", rest = ""] = /^([a-z]+):(?:\/\/)?(.*)$/s.exec(text) ?? [];
  if (scheme === "http" || scheme === "https") return readUrl(text, wrong);
  if (scheme === "tcp") {
    const at = parseHostPort(rest);
    return at ? { kind: "tcp", name: text, ...at } : wrong(`"${text}" has no port; write tcp://HOST:PORT`);
  }
  if (scheme === "grpc")
    return readGrpc(text, rest) ?? wrong(`"${text}" has no port; write grpc://HOST:PORT[/SERVICE]`);
  if (scheme === "dns") {
    if (/^[\w.-]+$/.test(rest)) return { kind: "dns", name: text, host: rest };
    return wrong(`"${text}" names no host; write dns:NAME`);
  }
  if (scheme === "file") return rest === "" ? wrong('"file:" names no file; write file:/PATH') : fileTarget(text, rest);
  const bare = parseHostPort(text) !== undefined ? `write tcp://${text}` : `use ${FORMS}`;
  return wrong(`"${text}" can't be waited for; ${bare}`);
}

const fileTarget = (name: string, path: string): Target => ({ kind: "file", name, path });

function readUrl(text: string, wrong: (why: string) => undefined): Target | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) return wrong(`"${text}" can't be asked; use http://HOST:PORT/PATH`);
  // It would stand in the log with every line that says what is waited for.
  if (url.username !== "" || url.password !== "")
    return wrong(`the URL of ${url.host} has a user name; ask a path that needs none`);
  return { kind: "url", name: text, url };
}

function readGrpc(text: string, rest: string): Target | undefined {
  const [, place = "", service = ""] = /^([^/]*)(?:\/(.*))?$/s.exec(rest) ?? [];
  const at = parseHostPort(place);
  return at === undefined ? undefined : { kind: "grpc", name: text, ...at, service };
}
