import { execFileSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { asUser, Rig } from "./hot-restart-rig.ts";

/**
 * Who shares the network namespace with Envoy must not be able to end it or to take its listen sockets. The stranger is
 * uid 65534 with no capability; it speaks Envoy's protocol by a few lines of Python.
 */
let rig: Rig;
beforeEach(async () => {
  rig = await Rig.make();
});
afterEach(() => rig.done());

const STRANGER = 65_534;

/** Prints "sent", "got N" (descriptors), "no answer", or the error. */
const program = `
import array, os, socket, struct, sys
what, parent, child, address = sys.argv[1:5]
def name(text):
    return b"\\0" + text[1:].encode().ljust(107, b"\\0") if text.startswith("@") else text
def message(*fields):
    body = b""
    for field in reversed(fields):
        body = bytes([field << 3 | 2, len(body)]) + body
    return struct.pack(">Q", len(body)) + body
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.settimeout(5)
try:
    if what == "terminate":
        s.sendto(message(1, 5), name(parent))
        print("sent")
    else:
        s.bind(name(child))
        inner = b"\\x0a" + bytes([len(address)]) + address.encode()
        body = b"\\x0a" + bytes([len(inner)]) + inner
        body = b"\\x0a" + bytes([len(body)]) + body
        s.sendto(struct.pack(">Q", len(body)) + body, name(parent))
        data, control, flags, _ = s.recvmsg(65536, 1024)
        print("got", sum(len(one[2]) // 4 for one in control))
except socket.timeout:
    print("no answer")
except OSError as error:
    print(type(error).__name__, os.strerror(error.errno))
`;

function stranger(what: "terminate" | "take", prefix: string): string {
  const name = (role: string, epoch: number): string => `${prefix}_${role}_${rig.baseId * 10 + epoch}`;
  const names = [name("parent", 0), name("child", 1), `tcp://127.0.0.1:${rig.http}`];
  const [file, ...args] = asUser(STRANGER);
  return execFileSync(file ?? "", [...args, "/usr/bin/python3", "-c", program, what, ...names], {
    encoding: "utf8",
    cwd: "/",
  }).trim();
}

const ABSTRACT = "@envoy_domain_socket";

describe.skipIf(process.getuid?.() !== 0)("another user of the same network namespace", () => {
  test("can take the sockets and end Envoy with the abstract default", async () => {
    const run = await rig.live(0, { abstract: true });
    expect(stranger("take", ABSTRACT)).toBe("got 1");
    expect(run.end).toBeUndefined();
    expect(stranger("terminate", ABSTRACT)).toBe("sent");
    expect(await run.exited).toBe("0");
  });

  test("can do neither with --socket-path in a directory of mode 0700", async () => {
    const run = await rig.live(0);
    expect(statSync(rig.folder.path).mode & 0o777).toBe(0o700);
    expect(readdirSync(rig.folder.path)).toContain(`envoy_parent_${rig.baseId * 10}`);
    expect(stranger("take", rig.prefix)).toBe("PermissionError Permission denied");
    expect(stranger("terminate", rig.prefix)).toBe("PermissionError Permission denied");
    expect(stranger("terminate", ABSTRACT)).toMatch(/Connection refused/);
    await eventually("Envoy still serves", () => rig.isLive(0));
    expect(run.end).toBeUndefined();
  });
});
