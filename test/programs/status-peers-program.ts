// Runs in a network namespace of its own, on the real port 15020: every route asked by every kind of peer. Prints one
// JSON line a question: {"peer","method","path","status"}.
//   unshare -n node status-peers-program.ts FOLDER      (or -rn when not root)
import { execFileSync, spawn } from "node:child_process";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Asked, ask, startStatus } from "../status/status-fixture.ts";

const [folder = "", uid] = process.argv.slice(2);
const socketPath = join(folder, "pilotfish.sock");
const questions: readonly Pick<Asked, "method" | "path">[] = [
  { method: "GET", path: "/healthz/ready?verbose" },
  { method: "HEAD", path: "/healthz/ready" },
  { method: "GET", path: "/metrics" },
  { method: "GET", path: "/stats/prometheus" },
  { method: "GET", path: "/debug/config" },
  { method: "GET", path: "/debug/ndsz" },
  { method: "GET", path: "/debug/heap" },
  { method: "GET", path: "/debug/heap?snapshot" },
  { method: "GET", path: "/debug/cpu?seconds=0.01" },
  { method: "POST", path: "/quitquitquit" },
  { method: "POST", path: "/drain" },
  { method: "GET", path: "/drain" },
  { method: "POST", path: "/hot-restart" },
];

async function askAll(peer: string, how: Omit<Asked, "path" | "method">): Promise<void> {
  for (const question of questions) {
    const { status, body } = await ask({ ...how, ...question });
    const verbose = question.path.endsWith("verbose") ? body.includes("[+]") : undefined;
    process.stdout.write(`${JSON.stringify({ peer, ...question, status, verbose })}\n`);
  }
}

const ip = (...words: readonly string[]) => execFileSync("ip", words, { stdio: ["ignore", "ignore", "inherit"] });

if (uid !== undefined) {
  // Called by ourselves: another user of this machine, who was let at the file.
  process.setgid?.(Number(uid));
  process.setuid?.(Number(uid));
  await askAll("socket as another uid", { socketPath });
} else {
  ip("link", "set", "lo", "up");
  ip("-6", "addr", "add", "::6/128", "dev", "lo");
  // On lo itself: not every kernel has dummy devices, and what counts is the address.
  ip("addr", "add", "10.9.8.7/32", "dev", "lo");
  ip("-6", "addr", "add", "fd00:9::7/128", "dev", "lo");
  const status = await startStatus({ port: 15_020 }, socketPath);
  const { port } = status;
  await askAll("127.0.0.1", { port });
  await askAll("127.0.0.2", { port, localAddress: "127.0.0.2" });
  await askAll("::1", { port, host: "::1" });
  await askAll("::ffff:127.0.0.1", { port, host: "::ffff:127.0.0.1" });
  await askAll("127.0.0.6", { port, localAddress: "127.0.0.6" });
  await askAll("::6", { port, host: "::1", localAddress: "::6" });
  await askAll("127.0.0.1 to the pod's address", { port, host: "10.9.8.7", localAddress: "127.0.0.1" });
  await askAll("pod's address", { port, host: "10.9.8.7" });
  await askAll("pod's address, IPv6", { port, host: "fd00:9::7" });
  await askAll("127.0.0.6 to the pod's address", { port, host: "10.9.8.7", localAddress: "127.0.0.6" });
  await askAll("socket", { socketPath });
  if (process.geteuid?.() === 0) {
    chmodSync(folder, 0o755);
    chmodSync(socketPath, 0o666);
    // Not spawnSync: the server is in this process.
    const other = spawn(process.execPath, [fileURLToPath(import.meta.url), folder, "65534"], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    await new Promise((resolve) => other.once("exit", resolve));
  }
  await status.server.close();
  process.stdout.write(`${JSON.stringify({ wishes: status.wishes.length, bugs: status.bugs.length })}\n`);
}
