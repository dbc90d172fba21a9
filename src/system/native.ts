import { type Koffi, nativeCalls } from "./koffi.ts";

/**
 * The few calls of libc that Node does not offer, through koffi. Without koffi (another platform, a stripped image)
 * `native()` is undefined and whoever needs it goes on without, and says so once.
 */
export interface Native {
  /** The next child that is dead, without taking it: its pid, 0 when nobody is dead, -1 when there are no children. */
  peekDeadChild(): number;
  /** Takes a dead child off the process table. */
  reap(pid: number): void;
  /** PR_SET_CHILD_SUBREAPER: orphans below us become our children even though we are not PID 1. */
  becomeSubreaper(): boolean;
  /** SO_PEERCRED of a connected unix socket; undefined when it can't be had. */
  peerCredentials(descriptor: number): PeerCredentials | undefined;
}

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x0100_0000;
const P_ALL = 0;
const PR_SET_CHILD_SUBREAPER = 36;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;

/** Loaded at the first call, never at start-up. */
export const native: () => Native | undefined = nativeCalls(build);

function build(koffi: Koffi): Native {
  const libc = koffi.load(null);
  const waitid = libc.func("int waitid(int kind, int id, void *info, int options)");
  const waitpid = libc.func("int waitpid(int pid, void *status, int options)");
  const prctl = libc.func("int prctl(int what, ulong a, ulong b, ulong c, ulong d)");
  const getsockopt = libc.func("int getsockopt(int fd, int level, int name, void *value, void *length)");
  const info = new Int32Array(32); // siginfo_t is 128 bytes; si_pid is word 3 + 1 on 64-bit Linux
  return {
    peekDeadChild() {
      info[4] = 0;
      if (waitid(P_ALL, 0, info, WEXITED | WNOHANG | WNOWAIT) !== 0) return -1;
      return info[4] ?? 0;
    },
    reap: (pid) => {
      waitpid(pid, null, WNOHANG);
    },
    becomeSubreaper: () => prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) === 0,
    peerCredentials(descriptor) {
      const value = new Int32Array(3);
      const length = new Uint32Array([12]);
      if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, value, length) !== 0) return undefined;
      return { pid: value[0] ?? -1, uid: value[1] ?? -1, gid: value[2] ?? -1 };
    },
  };
}
