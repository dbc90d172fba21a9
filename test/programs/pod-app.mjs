// A small application: `/` says whom it saw, `/out?host=&port=` asks another one and passes on what it said.
//   node pod-app.mjs PORT [NAME]
import { createServer, get } from "node:http";

const [, , port, name = "app"] = process.argv;
const server = createServer((request, response) => {
  const url = new URL(request.url, "http://app");
  if (url.pathname === "/out") {
    get(
      { host: url.searchParams.get("host"), port: url.searchParams.get("port"), path: "/", agent: false },
      (incoming) => {
        response.statusCode = incoming.statusCode;
        incoming.pipe(response);
      },
    ).on("error", (error) => {
      response.statusCode = 502;
      response.end(error.message);
    });
    return;
  }
  response.end(`${name} saw ${request.socket.remoteAddress?.replace("::ffff:", "")}\n`);
});
server.listen(Number(port), () => process.stdout.write("listening\n"));
process.once("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
