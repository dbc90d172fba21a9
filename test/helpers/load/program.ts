// The program that makes the load, in a process of its own: its event loop is not the test's. It is forked by load.ts.
import { Book } from "./book.ts";
import { Http1Client } from "./http1.ts";
import { Http2Client } from "./http2.ts";
import type { FromProgram, LoadEntry, ToProgram } from "./plan.ts";
import { TcpClient } from "./tcp.ts";

interface Client {
  once(): Promise<boolean>;
  end(): void;
}

const book = new Book();
const running: Promise<void>[] = [];
let stopping = false;

const say = (what: FromProgram): void => {
  process.send?.(what);
};

function clientOf(entry: LoadEntry): Client {
  if (entry.kind === "http2") return new Http2Client(entry, book);
  return entry.kind === "tcp" ? new TcpClient(entry, book) : new Http1Client(entry, book);
}

/** After a failure a moment more: a client in a tight loop of refused connections would count its own speed. */
const AFTER_FAILURE = 10;

async function runClient(client: Client, pause: number): Promise<void> {
  while (!stopping) {
    const good = await client.once();
    const wait = good ? pause : Math.max(pause, AFTER_FAILURE);
    if (!stopping) await new Promise((resolve) => setTimeout(resolve, wait));
  }
  client.end();
}

function start(entries: readonly LoadEntry[]): void {
  for (const entry of entries) {
    book.add(entry);
    for (let count = 0; count < entry.clients; count++) running.push(runClient(clientOf(entry), entry.pause ?? 5));
  }
  say({ say: "started" });
}

process.on("message", (message: ToProgram) => {
  if (message.tell === "start") start(message.entries);
  else if (message.tell === "tally") say({ say: "tally", id: message.id, tally: book.tally() });
  else {
    stopping = true;
    void Promise.all(running).then(() => {
      // A long list of failures takes more than one write: the end waits for it.
      process.send?.({ say: "stopped", tally: book.tally() } satisfies FromProgram, () => process.disconnect());
    });
  }
});
// The test is gone: nothing may be left.
process.on("disconnect", () => process.exit(0));
say({ say: "loaded" });
