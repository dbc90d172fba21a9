import { execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { realClock } from "../../src/system/clock.ts";
import {
  type Datagram,
  type DatagramSocket,
  type DatagramSockets,
  datagramSockets,
} from "../../src/system/datagram-sockets.ts";
import { eventually } from "../helpers/eventually.ts";
import { root, temporaryFolder } from "../helpers/paths.ts";

const sockets = loadSockets();

function loadSockets(): DatagramSockets {
  const loaded = datagramSockets();
  if (loaded === undefined) throw new Error("koffi is missing: the set-up installs it");
  return loaded;
}

let folder: ReturnType<typeof temporaryFolder>;
let open: DatagramSocket[];
let before: ReadonlySet<string>;

/** What this process has open, by descriptor and target. */
const descriptors = (): ReadonlySet<string> =>
  new Set(
    readdirSync("/proc/self/fd").flatMap((one) => {
      try {
        return [`${one} ${readlinkSync(`/proc/self/fd/${one}`)}`];
      } catch {
        return [];
      }
    }),
  );

beforeEach(() => {
  folder = temporaryFolder("datagrams");
  open = [];
  before = descriptors();
});
afterEach(() => {
  for (const one of open) one.close();
  expect([...descriptors()].filter((one) => !before.has(one))).toEqual([]);
  folder.done();
});

const at = (name: string): string => (name.startsWith("@") ? `${name}-${process.pid}` : join(folder.path, name));

function bind(name: string, onDatagram: (one: Datagram) => void = () => undefined): DatagramSocket {
  const socket = sockets.bind(at(name), {
    clock: realClock,
    onDatagram,
    onError: (error) => {
      throw error;
    },
  });
  open.push(socket);
  return socket;
}

function collector(name: string): { readonly socket: DatagramSocket; readonly got: Datagram[] } {
  const got: Datagram[] = [];
  return { socket: bind(name, (one) => got.push(one)), got };
}

test.each(["socket", "@pilotfish-test"])("bytes arrive at %s, in order", async (name) => {
  const { got } = collector(name);
  const sender = bind(`${name}2`);
  for (const text of ["one", "two", "", "three"]) expect(sender.sendTo(at(name), Buffer.from(text))).toBe("sent");
  expect(sockets.sendTo(at(name), Buffer.alloc(4096, 7))).toBe("sent");
  await eventually("all five", () => got.length === 5);
  expect(got.slice(0, 4).map(({ bytes }) => bytes.toString())).toEqual(["one", "two", "", "three"]);
  expect(got[4]?.bytes.equals(Buffer.alloc(4096, 7))).toBe(true);
  expect(got.every(({ truncated, descriptors: some }) => !truncated && some.length === 0)).toBe(true);
});

test("descriptors arrive as the same kernel objects, closed on exec", async () => {
  const { got } = collector("a");
  const sender = bind("b");
  const files = [1, 2, 3].map((one) => {
    const path = at(`file${one}`);
    writeFileSync(path, "x");
    return openSync(path, "r");
  });
  expect(sender.sendTo(at("a"), Buffer.from("take"), files)).toBe("sent");
  const [first] = await eventually("the datagram", () => (got.length > 0 ? got : undefined));
  const received = first?.descriptors ?? [];
  expect(received.map((one) => fstatSync(one).ino)).toEqual(files.map((one) => fstatSync(one).ino));
  expect(received.map((one) => sockets.identityOf(one))).toEqual(files.map((one) => fstatSync(one).ino));
  expect(received.some((one) => files.includes(one))).toBe(false);
  const copy = sockets.duplicate(received[0] ?? -1);
  expect(sockets.identityOf(copy)).toBe(fstatSync(files[0] ?? -1).ino);
  expect(await inheritedBy([...received, copy])).toEqual([]);
  for (const one of [...received, copy]) sockets.closeDescriptor(one);
  for (const one of [...received, copy]) expect(() => fstatSync(one)).toThrow("EBADF");
  for (const one of files) closeSync(one);
});

/** Which of these descriptors a program that we start has. */
function inheritedBy(numbers: readonly number[]): Promise<readonly number[]> {
  return new Promise((resolve) => {
    const child = spawn("ls", ["/proc/self/fd"], { stdio: ["ignore", "pipe", "ignore"] });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    child.once("close", () => resolve(numbers.filter((one) => text.split("\n").includes(String(one)))));
  });
}

test("253 descriptors at once are all collected; one more is refused by us", async () => {
  const { got } = collector("a");
  const sender = bind("b");
  const file = openSync("/dev/null", "r");
  const many = Array.from({ length: 253 }, () => file);
  expect(() => sender.sendTo(at("a"), Buffer.from("x"), [...many, file])).toThrow("253");
  expect(sender.sendTo(at("a"), Buffer.from("x"), many)).toBe("sent");
  await eventually("the datagram", () => got.length === 1);
  expect(new Set(got[0]?.descriptors).size).toBe(253);
  expect(got[0]?.truncated).toBe(false);
  for (const one of got[0]?.descriptors ?? []) sockets.closeDescriptor(one);
  closeSync(file);
});

test("descriptors that nobody read are gone with the socket", async () => {
  const { socket, got } = collector("a");
  const sender = bind("b");
  const file = openSync("/dev/null", "r");
  socket.close();
  const unread = bind("a", () => undefined);
  expect(sender.sendTo(at("a"), Buffer.from("x"), [file])).toBe("sent");
  unread.close();
  closeSync(file);
  expect(got).toEqual([]);
});

test("the file is ours alone, replaced when stale, refused when in use, kept when it is another's", () => {
  const first = bind("a");
  expect(statSync(at("a")).mode & 0o777).toBe(0o600);
  expect(() => bind("a")).toThrow(/cannot bind ".*": another process holds it/);
  first.close({ leaveFile: true });
  expect(sockets.sendTo(at("a"), Buffer.from("x"))).toBe("nobody");
  const second = bind("a");
  second.close();
  expect(readdirSync(folder.path)).toEqual([]);
  const third = bind("a");
  const other = bind("b");
  // An Envoy does this to a name: unlink, then bind its own.
  other.close({ leaveFile: true });
  third.close();
  expect(readdirSync(folder.path)).toEqual(["b"]);
  writeFileSync(at("c"), "no socket");
  expect(() => bind("c")).toThrow(/no socket lies there/);
  expect(() => bind("missing/a")).toThrow(/ENOENT/);
  expect(() => bind("x".repeat(120))).toThrow(/cannot bind/);
});

test("a file that somebody else put there meanwhile stays", () => {
  const ours = bind("a");
  const theirs = bind("theirs");
  writeFileSync(at("keep"), "");
  // rename is what a second bind does.
  renameSync(at("theirs"), at("a"));
  ours.close();
  expect(readdirSync(folder.path).sort()).toEqual(["a", "keep"]);
  expect(sockets.sendTo(at("a"), Buffer.from("x"))).toBe("sent");
  theirs.close({ leaveFile: true });
});

test("a full queue and a missing receiver are results, not exceptions", () => {
  const slow = bind("a");
  const results = Array.from({ length: 2_000 }, () => sockets.sendTo(at("a"), Buffer.from("x")));
  expect(results[0]).toBe("sent");
  expect(results.at(-1)).toBe("full");
  slow.close();
  expect(sockets.sendTo(at("a"), Buffer.from("x"))).toBe("nobody");
  expect(sockets.sendTo(at("never"), Buffer.from("x"))).toBe("nobody");
  expect(slow.sendTo(at("a"), Buffer.from("x"))).toBe("nobody");
});

test("descriptors beyond our limit are lost, said, and none that came is leaked", () => {
  const program = join(root, "test/programs/hot-restart-few-descriptors.ts");
  const words = ["-c", 'ulimit -n 60; exec "$0" "$@"', process.execPath, program, folder.path];
  const result = JSON.parse(execFileSync("/bin/sh", words, { encoding: "utf8" })) as {
    arrived: readonly { descriptors: number; truncated: boolean }[];
    before: number;
    after: number;
  };
  const [first, second] = result.arrived;
  expect(first?.truncated).toBe(true);
  expect(first?.descriptors).toBeGreaterThan(0);
  expect(first?.descriptors).toBeLessThan(60);
  expect(second).toEqual({ descriptors: 1, truncated: false });
  // The file and the socket are closed as well at the end, and the file was counted before.
  expect(result.after).toBeLessThanOrEqual(result.before);
});
