/** What keeps this process busy, by Node's name for its kind. */
export interface OwnResources {
  /** Armed timers, those of Node's own parts left out. */
  readonly timers: number;
  /** Sockets, watches, children, requests under way: `TCPSocketWrap` 3, `FSEventWrap` 4, … */
  readonly handles: Readonly<Record<string, number>>;
}

/**
 * Counts what would keep an idle process alive. Something that grows while the work stays the same is a leak; a count
 * of timers shows those that descriptors do not. Cheap: nothing is walked but Node's own lists.
 */
export function ownResources(): OwnResources {
  const handles: Record<string, number> = {};
  let timers = 0;
  for (const kind of process.getActiveResourcesInfo().toSorted()) {
    if (kind === "Timeout") timers += 1;
    else handles[kind] = (handles[kind] ?? 0) + 1;
  }
  return { timers, handles };
}
