// An application that ends as it should: what is in flight is answered, nothing idle is closed under a caller's feet.
//   node rolling-app.mjs PORT
import { createServer } from "node:http";

// `/hold` is never answered.
const server = createServer((request, response) => {
  if (request.url === "/hold") process.stdout.write("holding\n");
  else response.end("served\n");
});
// The proxy keeps its connections; one that ends just as it is used would be a failure of ours, not of the proxy.
server.keepAliveTimeout = 600_000;
server.listen(Number(process.argv[2]), () => process.stdout.write("listening\n"));
process.once("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
