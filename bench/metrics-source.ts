// A source of metrics for the bench: serves a page of so many megabytes from memory, as fast as it is read.
//   node bench/metrics-source.ts MEGABYTES
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** Lines as Envoy writes them for a mesh of some size: long label values, 20 of 23 families in three are counters. */
function page(megabytes: number): Buffer {
  const parts: string[] = [];
  for (let family = 0, size = 0; size < megabytes * 1e6; family++) {
    const name = `envoy_cluster_upstream_rq_thing_${family}`;
    const lines = [`# TYPE ${name} counter\n`];
    for (let cluster = 0; cluster < 1_700; cluster++)
      lines.push(
        `${name}{cluster_name="outbound|${8_000 + cluster}||svc-${cluster}.namespace-${cluster % 20}.svc.cluster.local",response_code="200"} ${cluster * family}\n`,
      );
    const text = lines.join("");
    parts.push(text);
    size += text.length;
  }
  return Buffer.from(parts.join(""));
}

const body = page(Number(process.argv[2]));
const server = createServer((_request, response) => {
  response.writeHead(200, { "content-type": "text/plain; version=0.0.4", "content-length": body.length });
  response.end(body);
});
server.listen({ port: 0, host: "127.0.0.1" }, () => {
  process.stdout.write(`${(server.address() as AddressInfo).port} ${body.length}\n`);
});
