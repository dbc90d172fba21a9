// Asks what the lines on its standard input say, from the network namespace that it was started in.
//   {"id":1,"kind":"http","host":"10.0.0.1","port":80,"path":"/","timeout":1000}
import { request } from "node:http";
import { connect } from "node:net";
import { createInterface } from "node:readline";

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

function http({ id, host, port, path, timeout }) {
  const asking = request({ host, port, path, agent: false, timeout }, (incoming) => {
    let body = "";
    incoming.setEncoding("utf8").on("data", (part) => {
      body += part;
    });
    incoming.on("end", () => say({ id, status: incoming.statusCode, body }));
    incoming.on("error", (error) => say({ id, error: error.message }));
  });
  asking.on("timeout", () => asking.destroy(new Error("timed out")));
  asking.on("error", (error) => say({ id, error: error.message }));
  asking.end();
}

function tcp({ id, host, port, timeout }) {
  const socket = connect({ host, port, timeout });
  const end = (error) => {
    socket.removeAllListeners();
    socket.on("error", () => undefined);
    socket.destroy();
    say({ id, error });
  };
  socket.once("connect", () => end(undefined));
  socket.once("timeout", () => end("timed out"));
  socket.once("error", (error) => end(error.message));
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const what = JSON.parse(line);
  if (what.kind === "tcp") tcp(what);
  else http(what);
});
process.stdout.write("ready\n");
