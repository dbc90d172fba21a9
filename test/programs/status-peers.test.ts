import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root, temporaryFolder } from "../helpers/paths.ts";

interface Line {
  readonly peer?: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly verbose?: boolean;
  readonly wishes?: number;
  readonly bugs?: number;
}

const asRoot = process.geteuid?.() === 0;

/** In a network namespace of its own: port 15020 itself, ::6 and a pod's addresses are ours alone there. */
function run(): readonly Line[] {
  const folder = temporaryFolder("peers");
  try {
    const program = join(root, "test/programs/status-peers-program.ts");
    const words = [asRoot ? "-n" : "-rn", "--", process.execPath, program, folder.path];
    const text = execFileSync("unshare", words, { encoding: "utf8", timeout: 50_000 });
    return text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Line);
  } finally {
    folder.done();
  }
}

test("every route, asked by every kind of peer", () => {
  const lines = run();
  const publicOnly = "200v- 200 200 200 403 403 403 403 403 403 403 403 403";
  const loopback = "200v+ 200 200 200 200 404 200 403 200 200 200 405 409";
  const socket = "200v+ 200 200 200 200 404 200 200 200 200 200 405 409";
  const seen = new Map<string, string[]>();
  for (const { peer, status, verbose } of lines) {
    if (peer === undefined) continue;
    const mark = verbose === undefined ? "" : verbose ? "v+" : "v-";
    seen.set(peer, [...(seen.get(peer) ?? []), `${status}${mark}`]);
  }
  expect(Object.fromEntries([...seen].map(([peer, statuses]) => [peer, statuses.join(" ")]))).toEqual({
    "127.0.0.1": loopback,
    "127.0.0.2": loopback,
    "::1": loopback,
    "::ffff:127.0.0.1": loopback,
    "127.0.0.1 to the pod's address": loopback,
    "127.0.0.6": publicOnly,
    "::6": publicOnly,
    "127.0.0.6 to the pod's address": publicOnly,
    "pod's address": publicOnly,
    "pod's address, IPv6": publicOnly,
    socket,
    ...(asRoot ? { "socket as another uid": publicOnly } : {}),
  });
  // Only trusted peers were heard: three wishes of each of the six.
  expect(lines.at(-1)).toEqual({ wishes: 6 * 3, bugs: 0 });
});
