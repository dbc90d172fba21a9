// Runs in a network namespace of its own: an IPv6 pod whose probes are carried out before and after ::6 is there.
import { execFileSync } from "node:child_process";
import { ProbeServers, plain } from "../status/probe-servers.ts";
import { ask, startStatus } from "../status/status-fixture.ts";

const ip = (...words: readonly string[]) => execFileSync("ip", words, { stdio: ["ignore", "ignore", "inherit"] });
ip("link", "set", "lo", "up");
ip("-6", "addr", "add", "fd00:9::7/128", "dev", "lo");

const servers = new ProbeServers("/nowhere");
await servers.raw({ "/": plain("200 OK", "hello") }, "::", 8_080);
const status = await startStatus({
  port: 15_020,
  configured: {
    node: { ipAddresses: ["fd00:9::7", "10.9.8.7"] } as never,
    appProbers: JSON.stringify({
      "/app-health/a/livez": { httpGet: { port: 8_080 } },
      "/app-health/a/readyz": { tcpSocket: { port: 8_080 } },
    }),
  },
});

for (const prepare of [() => undefined, () => ip("-6", "addr", "add", "::6/128", "dev", "lo")]) {
  prepare();
  const http = await ask({ port: 15_020, host: "fd00:9::7", path: "/app-health/a/livez" });
  const tcp = await ask({ port: 15_020, host: "fd00:9::7", path: "/app-health/a/readyz" });
  const seen = servers.seen.get("/");
  const host = /^host: (.*)$/im.exec(seen?.request ?? "")?.[1];
  const facts = {
    http: http.status,
    tcp: tcp.status,
    body: http.body,
    host,
    bugs: status.bugs.length,
    from: seen?.from,
  };
  process.stdout.write(`${JSON.stringify(facts)}\n`);
}
await status.server.close();
servers.done();
