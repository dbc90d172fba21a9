// Plays one user in one network namespace, as told by JSON lines on stdin; answers by JSON lines on stdout.
// Started as root; `UID_GID=1000:1000` says whom to become once this file is read.
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";

const [uid, gid] = (process.env.UID_GID ?? "0:0").split(":").map(Number);
process.setgroups([]);
process.setgid(gid);
process.setuid(uid);

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
const kept = new Map();
const counts = new Map();
let hammering = 0;

/** Each connection gets a line that says who answers and whom it saw, then an echo. */
function listen({ id, host, port, name }) {
  const server = createServer((socket) => {
    counts.set(name, (counts.get(name) ?? 0) + 1);
    socket.on("error", () => undefined);
    socket.write(`${JSON.stringify({ at: name, saw: socket.remoteAddress, as: socket.localAddress })}\n`);
    socket.pipe(socket);
  });
  server.once("error", (error) => say({ id, error: error.code }));
  server.listen({ host, port, ipv6Only: host === "::" }, () => say({ id, port: server.address().port }));
}

function dial({ host, port, source, limit = 1000 }, done) {
  const socket = connect({ host, port, ...(source ? { localAddress: source } : {}) });
  let text = "";
  const finish = (answer) => {
    clearTimeout(timer);
    done(answer, socket);
  };
  const timer = setTimeout(() => finish({ error: "timeout" }), limit);
  socket.on("error", (error) => finish({ error: error.code }));
  socket.on("data", (bytes) => {
    text += bytes;
    const end = text.indexOf("\n");
    if (end >= 0) finish(JSON.parse(text.slice(0, end)));
  });
  socket.on("end", () => finish({ error: "closed" }));
}

/** Dials without end, `pause` ms apart; each answer is counted by who gave it. */
function hammer(target) {
  hammering++;
  const again = () => {
    if (hammering === 0) return;
    dial({ ...target, limit: 300 }, (answer, socket) => {
      // A socket that still connects would wait for its connection before it resets: those of dropped packets pile up.
      if (answer.error) socket.destroy();
      else socket.resetAndDestroy();
      const key = `${target.name} ${answer.at ?? answer.error}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      setTimeout(again, target.pause ?? 0);
    });
  };
  again();
}

const commands = {
  listen,
  dial: (command) =>
    dial(command, (answer, socket) => {
      if (command.keep && !answer.error) kept.set(command.keep, socket);
      else socket.destroy();
      say({ id: command.id, ...answer });
    }),
  /** Whether a kept connection still carries data. */
  echo: ({ id, keep }) => {
    const socket = kept.get(keep);
    const timer = setTimeout(() => say({ id, error: "timeout" }), 2000);
    if (!socket || socket.destroyed) {
      clearTimeout(timer);
      return say({ id, error: "gone" });
    }
    socket.removeAllListeners("data");
    socket.once("data", (bytes) => {
      clearTimeout(timer);
      say({ id, echo: bytes.toString() });
    });
    socket.write("still there");
  },
  hammer: (command) => {
    hammer(command);
    say({ id: command.id });
  },
  stop: ({ id }) => {
    hammering = 0;
    say({ id });
  },
  counts: ({ id }) => say({ id, counts: Object.fromEntries(counts) }),
  /** A resolver over UDP and TCP: every name has the address that this one was given. */
  dnsListen: ({ id, host, port, address }) => {
    const answer = (question) => {
      const end = question.indexOf(0, 12) + 5;
      const head = Buffer.from([question[0], question[1], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
      const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, ...address.split(".").map(Number)]);
      return Buffer.concat([head, question.subarray(12, end), record]);
    };
    const socket = createSocket("udp4");
    socket.on("message", (bytes, from) => socket.send(answer(bytes), from.port, from.address));
    const server = createServer((client) => {
      client.on("error", () => undefined);
      client.on("data", (bytes) => {
        const reply = answer(bytes.subarray(2));
        client.end(Buffer.concat([Buffer.from([reply.length >> 8, reply.length & 255]), reply]));
      });
    });
    socket.bind(port, host, () => server.listen(port, host, () => say({ id, port })));
  },
  /** Asks as a program does: by resolv.conf over UDP, or a question over TCP to a server. */
  resolve: ({ id, name }) => {
    const resolver = new Resolver({ timeout: 1000, tries: 1 });
    resolver.resolve4(name, (error, addresses) =>
      say({ id, ...(error ? { error: error.code } : { at: addresses[0] }) }),
    );
  },
  resolveTcp: ({ id, host }) => {
    const question = Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0x78, 0, 0, 1, 0, 1]);
    const socket = connect(53, host, () => socket.write(Buffer.concat([Buffer.from([0, question.length]), question])));
    socket.on("error", (error) => say({ id, error: error.code }));
    socket.once("data", (bytes) => {
      say({ id, at: [...bytes.subarray(-4)].join(".") });
      socket.destroy();
    });
  },
  udpListen: ({ id, host, port, name }) => {
    const socket = createSocket(host.includes(":") ? { type: "udp6", ipv6Only: true } : "udp4");
    socket.on("message", (bytes, from) =>
      socket.send(JSON.stringify({ at: name, saw: from.address, asked: bytes.toString() }), from.port, from.address),
    );
    socket.once("error", (error) => say({ id, error: error.code }));
    socket.bind(port, host, () => say({ id, port: socket.address().port }));
  },
  udpAsk: ({ id, host, port, localPort, limit = 1000 }) => {
    const socket = createSocket({ type: host.includes(":") ? "udp6" : "udp4", reuseAddr: true });
    const finish = (answer) => {
      clearTimeout(timer);
      socket.close();
      say({ id, ...answer });
    };
    const timer = setTimeout(() => finish({ error: "timeout" }), limit);
    socket.on("error", (error) => finish({ error: error.code }));
    socket.on("message", (bytes, from) => finish({ ...JSON.parse(bytes.toString()), from: from.address }));
    // Connected, so that a refusal (ICMP) becomes an error.
    socket.bind(localPort ?? 0, () => socket.connect(port, host, () => socket.send("question")));
  },
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
});
process.stdin.on("end", () => process.exit(0));
say({ ready: true });
