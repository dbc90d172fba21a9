import { type Document, parseDocument, stringify, visit } from "yaml";
import type { Json } from "../config/agent-config.ts";
import { InternalError } from "../foundation/errors.ts";
import { isObject } from "./proto-json.ts";
import type { DocumentEdit } from "./user-files.ts";

export type EditedYaml =
  | { readonly ok: true; readonly value: Json; readonly text: string }
  | { readonly ok: false; readonly line: number | undefined; readonly why: string };

/**
 * Reads YAML and changes what `edit` says. Only those places of the text change: Envoy's reader of YAML has its own
 * idea of some words and numbers, so nothing else may be written anew. Loaded only when needed.
 */
export function editYaml(text: string, edit: DocumentEdit): EditedYaml {
  const document = parse(text);
  const error = document.errors[0];
  if (error !== undefined) {
    const why = (error.message.split("\n")[0] ?? "").replace(/ at line \d+, column \d+:?$/, "");
    return { ok: false, line: error.linePos?.[0].line, why };
  }
  try {
    const replaced = withStrings(text, document, edit.string);
    return { ok: true, ...withFields(replaced, plainValue(parse(replaced)), edit.add) };
  } catch (cause) {
    return { ok: false, line: undefined, why: cause instanceof Error ? cause.message : String(cause) };
  }
}

const parse = (text: string): Document.Parsed =>
  parseDocument(text, { prettyErrors: true, uniqueKeys: true, version: "1.1" });

/** Version 1.1 quotes whatever one of the two versions could take for something else than text. */
const style = { version: "1.1", lineWidth: 0, aliasDuplicateObjects: false } as const;

/** A changed string is quoted: `[fd00::1]:80` without quotes would be a list. */
function withStrings(text: string, document: Document.Parsed, change: DocumentEdit["string"]): string {
  const places: { readonly from: number; readonly to: number; readonly by: string }[] = [];
  visit(document, {
    Scalar(_key, node) {
      if (change === undefined || typeof node.value !== "string" || !node.range) return;
      const by = change(node.value);
      if (by !== node.value) places.push({ from: node.range[0], to: node.range[1], by: JSON.stringify(by) });
    },
  });
  return places.toReversed().reduce((left, { from, to, by }) => left.slice(0, from) + by + left.slice(to), text);
}

/** New fields stand behind the others, in a text that begins at the margin; any other is written anew. */
function withFields(
  text: string,
  value: Json,
  add: DocumentEdit["add"],
): { readonly value: Json; readonly text: string } {
  const fields = isObject(value) && add !== undefined ? add(value) : {};
  if (!isObject(value) || Object.keys(fields).length === 0) return { value, text };
  const wanted = { ...value, ...fields };
  const appended = `${text.trimEnd()}\n${stringify(fields, style)}`;
  const anew = stringify(wanted, style);
  const found = [appended, anew].find((one) => holds(one, wanted));
  if (found === undefined) throw new InternalError("a field could not be added to a YAML document");
  return { value: wanted, text: found };
}

function holds(text: string, value: Json): boolean {
  const document = parse(text);
  return document.errors.length === 0 && JSON.stringify(plainValue(document)) === JSON.stringify(value);
}

/** JSON's values only: a date or a number key becomes its text. */
const plainValue = (document: Document.Parsed): Json =>
  JSON.parse(JSON.stringify(document.toJS({ maxAliasCount: 100 }) ?? null)) as Json;
