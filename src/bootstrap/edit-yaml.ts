import { type Document, parseDocument, visit } from "yaml";
import type { Json } from "../config/agent-config.ts";
import { isObject } from "./proto-json.ts";
import type { DocumentEdit } from "./user-files.ts";

export type EditedYaml =
  | { readonly ok: true; readonly value: Json; readonly text: string }
  | { readonly ok: false; readonly line: number | undefined; readonly why: string };

/** Reads YAML and changes what `edit` says; the rest of the text stays as it was written. Loaded only when needed. */
export function editYaml(text: string, edit: DocumentEdit): EditedYaml {
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true, version: "1.1" });
  const error = document.errors[0];
  if (error !== undefined) {
    const why = (error.message.split("\n")[0] ?? "").replace(/ at line \d+, column \d+:?$/, "");
    return { ok: false, line: error.linePos?.[0].line, why };
  }
  try {
    const changed = replaceStrings(document, edit.string);
    const added = addFields(document, edit.add);
    return { ok: true, value: plainValue(document), text: changed || added ? document.toString() : text };
  } catch (cause) {
    return { ok: false, line: undefined, why: cause instanceof Error ? cause.message : String(cause) };
  }
}

/** A changed string is quoted: `[fd00::1]:80` without quotes would be a list. */
function replaceStrings(document: Document, change: DocumentEdit["string"]): boolean {
  let changed = false;
  if (change === undefined) return changed;
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value !== "string") return;
      const text = change(node.value);
      if (text === node.value) return;
      node.value = text;
      node.type = "QUOTE_DOUBLE";
      changed = true;
    },
  });
  return changed;
}

function addFields(document: Document, add: DocumentEdit["add"]): boolean {
  const value = plainValue(document);
  if (add === undefined || !isObject(value)) return false;
  const fields = Object.entries(add(value));
  for (const [key, field] of fields) document.set(key, document.createNode(field));
  return fields.length > 0;
}

/** JSON's values only: a date or a number key becomes its text. */
const plainValue = (document: Document): Json =>
  JSON.parse(JSON.stringify(document.toJS({ maxAliasCount: 100 }) ?? null)) as Json;
