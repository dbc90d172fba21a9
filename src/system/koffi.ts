import { createRequire } from "node:module";

/**
 * The one door to koffi, which calls C functions. An optional dependency: on another platform or in a stripped image
 * it is not there, and each user says what is missing then.
 */
export interface Koffi {
  /** The symbols of this process, libc's among them. */
  load(library: null): { func(signature: string): (...args: readonly unknown[]) => number };
  /** errno of the last call. */
  errno(): number;
  alloc(type: string, count: number): bigint;
  view(pointer: bigint, bytes: number): ArrayBuffer;
}

/**
 * Calls made by `build` at the first use (koffi takes about 8 ms to load) and kept; undefined, and kept so, when koffi
 * or one of the symbols is missing.
 */
export function nativeCalls<T>(build: (koffi: Koffi) => T): () => T | undefined {
  let built: { readonly calls: T | undefined } | undefined;
  return () => {
    built ??= { calls: attempt(build) };
    return built.calls;
  };
}

function attempt<T>(build: (koffi: Koffi) => T): T | undefined {
  try {
    // __filename exists in the bundle (CommonJS), import.meta.url when the sources run directly.
    return build(createRequire(typeof __filename === "string" ? __filename : import.meta.url)("koffi") as Koffi);
  } catch {
    return undefined;
  }
}
