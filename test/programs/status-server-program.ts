// A status server of its own process, for tests that flood it: prints (port=N), closes when its input ends, prints
// (bugs=N) and must then end by itself, since nothing may be left.
import { startStatus } from "../status/status-fixture.ts";

const status = await startStatus({
  serveMerged: (_request, response) => {
    response.end(Buffer.alloc(4 * 1024 * 1024, "x"));
  },
});
process.stdout.write(`(port=${status.port})\n`);
process.stdin.resume();
process.stdin.once("end", () => {
  void status.server.close().then(() => process.stdout.write(`(bugs=${status.bugs.length})\n`));
});
