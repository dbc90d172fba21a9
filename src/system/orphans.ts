import type { ChildProcess } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import type { Native } from "./native.ts";

/**
 * As PID 1 (or subreaper) we inherit every orphan of the container, and Node waits only for its own children: each
 * orphan would stay a zombie (libuv issue 4179). `waitpid(-1)` is no way out: it steals the exit codes of Node's own
 * children. So: look who is dead without taking it (waitid with WNOWAIT), and take it only if it is not Node's.
 *
 * Race safety: spawn is synchronous in JavaScript, so no sweep can fall between a fork and its registration. When the
 * first dead child is Node's, stop: libuv takes it in its own pass and its "exit" event sweeps again.
 */
const own = new Set<ChildProcess>();
let sweep: () => void = () => undefined;

// From the first import on: a child that was spawned before the reaper stands is Node's all the same. This also sees
// what libraries spawn.
subscribe("child_process", (message) => {
  // The pid is not known yet at this moment: keep the object and read it later.
  const child = (message as { process: ChildProcess }).process;
  own.add(child);
  child.once("exit", () => {
    own.delete(child);
    sweep();
  });
  child.once("error", () => {
    if (child.pid === undefined) own.delete(child);
  });
});

/** Starts to take orphans off the process table, and says each to `onReaped`; the result ends that. */
export function installReaper(native: Native, onReaped: () => void = () => undefined): () => void {
  sweep = () => {
    for (;;) {
      const pid = native.peekDeadChild();
      if (pid <= 0) return;
      for (const child of own) if (child.pid === pid) return;
      native.reap(pid);
      onReaped();
    }
  };
  const onChild = (): void => sweep();
  process.on("SIGCHLD", onChild);
  // A signal that came while the event loop was blocked is not lost; this is for what nobody thought of.
  const backstop = setInterval(onChild, 10_000);
  backstop.unref();
  sweep();
  return () => {
    process.off("SIGCHLD", onChild);
    clearInterval(backstop);
    sweep = () => undefined;
  };
}

/** Process ids of Node's own children that are alive. */
export function ownChildren(): ReadonlySet<number> {
  return new Set([...own].flatMap((child) => (child.pid === undefined ? [] : [child.pid])));
}
