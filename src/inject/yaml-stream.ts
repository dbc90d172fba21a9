import {
  Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  visit,
  type YAMLMap,
} from "yaml";
import type { Problem } from "../foundation/errors.ts";
import type { Operation } from "./json-patch.ts";
import { equal, isObject, type Json, type JsonObject, stepsOf } from "./json-value.ts";

/** A file as the user wrote it: YAML or JSON, one document or several. */
export interface ManifestFile {
  readonly format: "yaml" | "json";
  readonly documents: readonly ManifestDocument[];
  /** Joins printed documents to a file. */
  readonly join: (texts: readonly string[]) => string;
}

export interface ManifestDocument {
  /** undefined: an empty document, or one that is no map; it is passed on as it is. */
  readonly value: JsonObject | undefined;
  /** The text with the operations carried out; comments and the order of keys stay where nothing changed. */
  readonly print: (operations: readonly Operation[], wanted: JsonObject | undefined) => string;
  /** Line (from 1) of the thing that a JSON pointer names, or of the nearest thing above it. */
  readonly lineOf: (pointer: string) => number;
}

/**
 * Kubernetes' own parser understands merge keys, and takes "yes", "no", "on" and "0o7" for other things than texts: what
 * we write is quoted where either reading would differ.
 */
const options = { merge: true, compat: "yaml-1.1" } as const;

/** Splits and parses a file. What is no YAML is a problem by line; `path` is how problems name the file. */
export function readManifests(text: string, path: string, problems: Problem[]): ManifestFile {
  const json = asJson(text);
  if (json !== undefined) return jsonFile(json);
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { ...options, lineCounter: lines });
  const list = "empty" in documents ? [] : [...documents];
  for (const document of list) {
    for (const error of document.errors) {
      const line = lines.linePos(error.pos[0]).line;
      problems.push({ name: `${path}:${line}`, text: error.message.split("\n")[0]?.replace(/ at line .*$/, "") ?? "" });
    }
  }
  const style = printStyle(text);
  return {
    format: "yaml",
    documents: problems.length > 0 ? [] : list.map((one) => yamlDocument(one, lines, style)),
    join: (texts) => texts.map((one, index) => (index === 0 ? one : separated(one))).join(""),
  };
}

const separated = (text: string): string => (/^(?:#.*\n|%.*\n|\s*\n)*---(\s|$)/.test(text) ? text : `---\n${text}`);

function asJson(text: string): Json | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

function jsonFile(value: Json): ManifestFile {
  const print = (_: readonly Operation[], wanted: JsonObject | undefined): string =>
    `${JSON.stringify(wanted ?? value, undefined, 2)}\n`;
  return {
    format: "json",
    documents: [{ value: isObject(value) ? value : undefined, print, lineOf: () => 1 }],
    join: (texts) => texts.join(""),
  };
}

type Style = Readonly<{ indentSeq: boolean; lineWidth: 0; flowCollectionPadding: boolean }>;

/** The user's way to indent lists; no line is broken that was not. */
function printStyle(text: string): Style {
  const flush = [...text.matchAll(/^( *)(?:- )?[^\s#-][^\n]*:[ ]*(?:#[^\n]*)?\n(?:\s*#[^\n]*\n)*( *)- /gm)];
  const [level, deeper] = [flush.filter(([, a, b]) => a === b).length, flush.filter(([, a, b]) => a !== b).length];
  return { indentSeq: deeper >= level, lineWidth: 0, flowCollectionPadding: !/[[{][^\s\]}]/.test(text) };
}

function yamlDocument(document: Document.Parsed, lines: LineCounter, style: Style): ManifestDocument {
  const value = plain(document);
  const original = document.toString(style);
  return {
    value,
    lineOf: (pointer) => lineOf(document, lines, stepsOf(pointer)),
    print: (operations, wanted) => {
      if (operations.length === 0 || wanted === undefined) return original;
      const edited = document.clone();
      detachAliases(edited, operations);
      for (const operation of operations) edit(edited, operation);
      const text = printed(edited, style);
      if (text !== undefined && equal(plain(parseAllDocuments(text, options)[0] as Document), wanted)) return text;
      // Anchors can refer to what was moved; the content is what counts, then.
      return new Document(wanted, { ...options, aliasDuplicateObjects: false }).toString(style);
    },
  };
}

function plain(document: Document | undefined): JsonObject | undefined {
  try {
    const value = document?.toJS({ maxAliasCount: 1_000 }) as Json | undefined;
    return isObject(value) ? (JSON.parse(JSON.stringify(value)) as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}

function printed(document: Document, style: Style): string | undefined {
  try {
    return document.toString(style);
  } catch {
    return undefined;
  }
}

function edit(document: Document, operation: Operation): void {
  const steps = stepsOf(operation.path);
  const last = steps.at(-1);
  if (last === undefined) return;
  const way = walk(document, steps.slice(0, -1));
  const node = way.at(-1);
  // A line of braces cannot hold a container: what gets more becomes a block, and so does what it stands in.
  if (operation.op === "add") for (const one of way) if (isMap(one) || isSeq(one)) one.flow = false;
  if (isSeq(node)) editList(document, node.items as Node[], Number(last), operation);
  else if (isMap(node)) editMap(document, node, last, operation);
}

/** The nodes from the root along the steps, as far as they exist; aliases on the way are replaced by copies. */
function walk(document: Document, steps: readonly string[]): readonly unknown[] {
  const way: unknown[] = [document.contents];
  for (const step of steps) way.push(child(document, way.at(-1), step));
  return way;
}

/** Aliases of anything that is going to change get a copy of what it is now. */
function detachAliases(document: Document, operations: readonly Operation[]): void {
  const touched = new Set(operations.flatMap((one) => walk(document, stepsOf(one.path))));
  visit(document, {
    Alias: (_, alias) => (touched.has(alias.resolve(document)) ? (resolved(document, alias) as Node) : undefined),
  });
}

function editList(document: Document, items: Node[], index: number, operation: Operation): void {
  if (operation.op === "remove") items.splice(index, 1);
  else items.splice(index, operation.op === "replace" ? 1 : 0, fresh(document, operation.value));
}

function editMap(document: Document, map: YAMLMap, key: string, operation: Operation): void {
  if (operation.op === "remove") map.delete(key);
  else if (operation.op === "add") map.set(key, fresh(document, operation.value));
  else {
    // A scalar keeps the comment beside it.
    const now: unknown = map.get(key, true);
    const next = fresh(document, operation.value);
    if (isScalar(now) && isScalar(next) && typeof now.comment === "string") next.comment = now.comment;
    map.set(key, next);
  }
}

/** The child, with an alias replaced by what it stands for: changing it must not change the other places. */
function child(document: Document, node: unknown, step: string): unknown {
  if (isSeq(node)) {
    const index = Number(step);
    if (isAlias(node.items[index])) node.items[index] = resolved(document, node.items[index]);
    return node.items[index];
  }
  if (!isMap(node)) return undefined;
  const one: unknown = node.get(step, true);
  if (isAlias(one)) node.set(step, resolved(document, one));
  return node.get(step, true);
}

/** No anchors of our making: the same settings twice are written twice. */
const fresh = (document: Document, value: Json): Node => document.createNode(value, { aliasDuplicateObjects: false });

const resolved = (document: Document, node: unknown): unknown =>
  isAlias(node) ? fresh(document, (node.resolve(document)?.toJS(document) ?? null) as Json) : node;

function lineOf(document: Document, lines: LineCounter, steps: readonly string[]): number {
  let offset = document.contents?.range?.[0] ?? 0;
  let node: unknown = document.contents;
  for (const step of steps) {
    if (isMap(node)) {
      const pair = (node.items as Pair[]).find((one) => isScalar(one.key) && String(one.key.value) === step);
      if (pair === undefined) break;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      offset = (node as Node | undefined)?.range?.[0] ?? offset;
    } else break;
  }
  return lines.linePos(offset).line;
}
