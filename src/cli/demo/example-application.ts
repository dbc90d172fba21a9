import { createServer, type Server } from "node:http";

/** The smallest application that is worth a sidecar: says hello and counts. */
export function exampleApplication(port: number): Promise<{ readonly close: () => void }> {
  let greeted = 0;
  const server: Server = createServer((request, response) => {
    if (request.url === "/metrics") {
      response.setHeader("content-type", "text/plain; version=0.0.4");
      response.end(
        `# HELP demo_greetings_total Greetings so far.\n# TYPE demo_greetings_total counter\ndemo_greetings_total ${greeted}\n`,
      );
      return;
    }
    greeted += 1;
    response.end(`hello from the example application, greeting ${greeted}\n`);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () =>
      resolve({
        close: () => {
          server.close();
          server.closeAllConnections();
        },
      }),
    );
  });
}
