import { pointerOf } from "./json-value.ts";

/** Something that the person should know about an injected pod. */
export interface Note {
  readonly level: "info" | "warning";
  /** Keys and indices within the pod, for its place in the document; empty for the pod as a whole. */
  readonly pointer: string;
  readonly text: string;
}

/** Notes in the order they came up. */
export class Notes {
  readonly all: Note[] = [];

  warn(path: readonly string[], text: string): void {
    this.all.push({ level: "warning", pointer: pointerOf(path), text });
  }

  info(path: readonly string[], text: string): void {
    this.all.push({ level: "info", pointer: pointerOf(path), text });
  }
}
