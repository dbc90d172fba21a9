import { readSharedMemory } from "./hot-restart/shared-memory.ts";

/** Where the flag stands: undefined when the child has none. */
type Place = { readonly baseId: number } | undefined;

/**
 * The flag that a child sets in shared memory when it attaches, and clears when it takes over: from then on its parent
 * takes no connection (hot-restart.md 10). Remembers who set it, because a child may take over and die between two looks.
 */
export class ChildFlags {
  readonly #attached = new Set<number>();

  /** One look, for the child of that run; undefined when the flag can't be read. */
  look(run: number, place: { readonly baseId: number }): boolean | undefined {
    const state = readSharedMemory(place);
    if (state.is !== "known") return undefined;
    if (state.initializing) this.#attached.add(run);
    return state.initializing;
  }

  /** Asked when it is dead: whether it had taken over. The flag of one that died before stays set. */
  tookOver(run: number, place: Place): boolean {
    return this.#attached.delete(run) && place !== undefined && this.look(run, place) === false;
  }
}
