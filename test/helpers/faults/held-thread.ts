import { type ChildProcess, spawn } from "node:child_process";
import { eventually } from "../eventually.ts";

/*
 * One thread of another process is stopped, the others run on: as a main thread that hangs while the workers serve.
 * A signal stops whole processes only; a tracer may stop a single thread. It has to wait for it, too: the end of a
 * traced process is told to its tracer before its parent hears of it.
 */
const tracer = `
import ctypes, os, sys
thread = int(sys.argv[1])
SEIZE, INTERRUPT = 0x4206, 0x4207
call = ctypes.CDLL(None, use_errno=True).ptrace
call.restype = ctypes.c_long
call.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
for request in (SEIZE, INTERRUPT):
    if call(request, thread, None, None) != 0:
        sys.exit("cannot trace: " + os.strerror(ctypes.get_errno()))
WALL = 0x40000000
os.waitpid(thread, WALL)
print("held", flush=True)
while True:
    _, status = os.waitpid(thread, WALL)
    if os.WIFEXITED(status) or os.WIFSIGNALED(status):
        break
`;

/** Stops a process' main thread until `release`, or until it is killed. */
export async function holdMainThread(pid: number): Promise<{ readonly release: () => Promise<void> }> {
  const child: ChildProcess = spawn("python3", ["-c", tracer, String(pid)], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await eventually("its main thread is held", () => {
    if (child.exitCode !== null) throw new Error(said);
    return said.includes("held");
  });
  return {
    release: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
