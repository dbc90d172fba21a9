// Run with few descriptors allowed: more are sent to this process than it may open. Prints what arrived as JSON.
//   hot-restart-few-descriptors.ts FOLDER
import { closeSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { realClock } from "../../src/system/clock.ts";
import { datagramSockets } from "../../src/system/datagram-sockets.ts";

const [, , folder = "."] = process.argv;
const path = join(folder, "socket");
const sockets = datagramSockets();
if (sockets === undefined) throw new Error("no koffi");
const open = (): number => readdirSync("/proc/self/fd").length;

const arrived: { readonly descriptors: number; readonly truncated: boolean }[] = [];
const socket = sockets.bind(path, {
  clock: realClock,
  onError: (error) => {
    throw error;
  },
  onDatagram: ({ descriptors, truncated }) => {
    arrived.push({ descriptors: descriptors.length, truncated });
    for (const one of descriptors) sockets.closeDescriptor(one);
    if (arrived.length < 2) return;
    socket.close();
    process.stdout.write(JSON.stringify({ arrived, before, after: open() + 1 }));
  },
});
const file = openSync("/dev/null", "r");
const before = open();
socket.sendTo(
  path,
  Buffer.from("x"),
  Array.from({ length: 200 }, () => file),
);
socket.sendTo(path, Buffer.from("y"), [file]);
closeSync(file);
