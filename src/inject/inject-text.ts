import type { Problem } from "../foundation/errors.ts";
import { type DocumentOptions, injectDocument, type Outcome, removeFromDocument } from "./inject-document.ts";
import type { InjectorConfig } from "./injector-config.ts";
import { difference, type Operation } from "./json-patch.ts";
import { type JsonObject, tooLarge } from "./json-value.ts";
import type { Note } from "./notes.ts";
import { type ManifestDocument, readManifests } from "./yaml-stream.ts";

/** What to do with a file. */
export interface TextOptions extends DocumentOptions {
  /** How messages name the file. */
  readonly path: string;
  readonly remove: boolean;
}

/** One pod of the file, with its place. */
export interface PodReport {
  readonly outcome: Outcome;
  /** `path:line` of the pod. */
  readonly place: string;
  /** Notes with the line they speak of. */
  readonly notes: readonly { readonly note: Note; readonly place: string }[];
}

export interface TextResult {
  /** The new file. */
  readonly text: string;
  /** The old file as the same printer writes it, so that a comparison shows what changed and nothing else. */
  readonly before: string;
  readonly reports: readonly PodReport[];
  /** Each document. */
  readonly documents: readonly DocumentChange[];
  readonly problems: readonly Problem[];
}

/** A file of manifests in, the same file with injected pods out. Pure. */
export function injectText(text: string, options: TextOptions, config: InjectorConfig): TextResult {
  const problems: Problem[] = [];
  const file = readManifests(text, options.path, problems);
  const parts = file.documents.map((document) => oneDocument(document, options, config, problems));
  return {
    text: file.join(parts.map((part) => part.text)),
    before: file.join(parts.map((part) => part.before)),
    reports: parts.flatMap((part) => part.reports),
    documents: parts,
    problems,
  };
}

export interface DocumentChange {
  /** Printed, before and after. */
  readonly before: string;
  readonly text: string;
  readonly after: JsonObject | undefined;
  readonly operations: readonly Operation[];
}

interface Part extends DocumentChange {
  readonly reports: readonly PodReport[];
}

function oneDocument(
  document: ManifestDocument,
  options: TextOptions,
  config: InjectorConfig,
  problems: Problem[],
): Part {
  const large = document.value === undefined ? undefined : tooLarge(document.value);
  if (large !== undefined) problems.push({ name: `${options.path}:${document.lineOf("")}`, text: large });
  const before = large === undefined ? document.print([], document.value) : "";
  if (document.value === undefined || large !== undefined)
    return { text: before, before, after: undefined, reports: [], operations: [] };
  const result = options.remove ? removeFromDocument(document.value) : injectDocument(document.value, options, config);
  const placeOf = (pointer: string): string => `${options.path}:${document.lineOf(pointer)}`;
  for (const { done } of result.outcomes) {
    if (done.kind !== "unusable") continue;
    problems.push(...done.problems.map(({ name, text }) => ({ name: `${placeOf(name)} ${name}`, text })));
  }
  const operations = difference(document.value, result.document);
  return {
    text: operations.length === 0 ? before : document.print(operations, result.document),
    before,
    after: result.document,
    operations,
    reports: result.outcomes.map((outcome) => ({
      outcome,
      place: placeOf(outcome.path.map((step) => `/${step}`).join("")),
      notes: (outcome.done.kind === "injected" ? outcome.done.notes : []).map((note) => ({
        note,
        place: placeOf(note.pointer),
      })),
    })),
  };
}
