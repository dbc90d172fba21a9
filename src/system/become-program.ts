import { constants } from "node:os";
import { nativeCalls } from "./koffi.ts";

/**
 * execvp through koffi: this process becomes another program, with the same pid, standard streams, environment and
 * working directory. `process.execve` of Node 24 is experimental, warns on standard error, ends the process when it
 * fails, and leaves SIGPIPE ignored in the new program.
 */
export interface Becoming {
  readonly words: readonly string[];
  /** Variables that are taken out of the environment. */
  readonly without: readonly string[];
  /** The soft limit of open files as it was before Node raised it; undefined leaves it. */
  readonly openFiles: number | undefined;
}

const F_SETFD = 2;
const RLIMIT_NOFILE = 7;
/** Ignored by Node (PlatformInit in node.cc); an ignored signal stays ignored over execve. */
const ignoredByNode = ["SIGPIPE", "SIGPROF", "SIGXFSZ"] as const;

/** Comes back only when it failed: with the error's code (ENOENT, EACCES, …), or undefined without native calls. */
export function becomeProgram({ words, without, openFiles }: Becoming): string | undefined {
  const calls = load();
  if (calls === undefined) return undefined;
  // Node hands these on to the C library's environment, which execvp passes on as it is, whatever bytes are in it.
  for (const name of without) delete process.env[name];
  for (const name of ignoredByNode) calls.signal(constants.signals[name], null);
  // Node marks everything that it found open as not to be inherited, the standard streams too.
  for (const descriptor of [0, 1, 2]) calls.fcntl(descriptor, F_SETFD, 0);
  if (openFiles !== undefined) lowerOpenFiles(calls, openFiles);
  calls.execvp(words[0] ?? "", [...words, null]);
  return errorName(calls.errno());
}

/** Sets the soft limit back for this process and what it starts; nothing happens without native calls. */
export function restoreOpenFiles(openFiles: number): void {
  const calls = load();
  if (calls !== undefined) lowerOpenFiles(calls, openFiles);
}

function lowerOpenFiles(calls: Calls, openFiles: number): void {
  const limit = new BigUint64Array(2);
  if (calls.getrlimit(RLIMIT_NOFILE, limit) !== 0) return;
  const [soft = 0n, hard = 0n] = limit;
  if (BigInt(openFiles) >= soft) return;
  calls.setrlimit(RLIMIT_NOFILE, new BigUint64Array([BigInt(openFiles), hard]));
}

const errorName = (number: number): string =>
  Object.entries(constants.errno).find(([, value]) => value === number)?.[0] ?? `errno ${number}`;

interface Calls {
  readonly execvp: (file: string, words: readonly (string | null)[]) => number;
  readonly fcntl: (descriptor: number, command: number, value: number) => number;
  readonly signal: (number: number, handler: null) => unknown;
  readonly getrlimit: (what: number, limit: BigUint64Array) => number;
  readonly setrlimit: (what: number, limit: BigUint64Array) => number;
  readonly errno: () => number;
}

const load: () => Calls | undefined = nativeCalls((koffi) => {
  const libc = koffi.load(null);
  return {
    execvp: libc.func("int execvp(const char *file, const char **words)"),
    fcntl: variadicInt(libc.func("int fcntl(int fd, int command, ...)")),
    signal: libc.func("void *signal(int number, void *handler)"),
    getrlimit: libc.func("int getrlimit(int what, void *limit)"),
    setrlimit: libc.func("int setrlimit(int what, void *limit)"),
    errno: () => koffi.errno(),
  };
});

/** koffi wants the type of each variadic argument in front of it. */
const variadicInt =
  (call: (...args: readonly unknown[]) => number) =>
  (descriptor: number, command: number, value: number): number =>
    call(descriptor, command, "int", value);
