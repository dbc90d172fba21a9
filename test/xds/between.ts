import { createHash } from "node:crypto";
import { begin, type RawCall } from "../../src/protocol/grpc-server.ts";
import { Deframer } from "../../src/protocol/grpc-status.ts";
import { type DiscoveryRequest, discoveryRequest } from "../../src/protocol/messages.ts";
import type { AdsProxy } from "../../src/xds/ads-proxy.ts";
import { eventually } from "../helpers/eventually.ts";
import type { World } from "../identity/harness.ts";
import { startProxy } from "./proxy-harness.ts";
import { type RawEnvoy, rawEnvoy, rawUpstream } from "./wire.ts";

/** A proxy before a raw control plane; requests are collected whole. */
export async function between(
  w: World,
  ends: (() => unknown)[],
  more: Parameters<typeof startProxy>[1] = {},
  onCall: (call: RawCall) => void = () => undefined,
) {
  const calls: RawCall[] = [];
  const requests: Buffer[] = [];
  const upstream = await rawUpstream((call) => {
    calls.push(call);
    begin(call.stream);
    const deframer = new Deframer(1e9, (message) => requests.push(Buffer.from(message)));
    call.stream.on("data", (chunk: Buffer) => deframer.push(chunk));
    onCall(call);
  });
  ends.push(() => upstream.close());
  const config = w.config({ xds: { ...w.config().xds, port: upstream.port, tls: false } });
  const proxy: AdsProxy = await startProxy(config, more);
  ends.push(() => proxy.close());
  const envoys: RawEnvoy[] = [];
  const connect = (path?: string): RawEnvoy => {
    const one = rawEnvoy(config.xdsSocket, path);
    envoys.push(one);
    ends.push(() => one.close());
    return one;
  };
  const first = async (): Promise<RawCall> => eventually("the proxy's call", () => calls[0]);
  return { upstream, proxy, calls, requests, connect, first, config };
}

export const asks = (typeUrl: string, more: Partial<DiscoveryRequest> = {}): Buffer =>
  discoveryRequest.encode({ typeUrl, node: { id: "sidecar~1.1.1.1~a.b~b.svc", cluster: "c" }, ...more });
export const sha = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
/** Waits until a count has moved and then not for a while; gives what it came to. */
export async function standsStill(count: () => number): Promise<number> {
  let [last, since] = [0, performance.now()];
  await eventually("it stands still", () => {
    if (count() !== last) [last, since] = [count(), performance.now()];
    return last > 0 && performance.now() - since > 700;
  });
  return last;
}
/** A field that nobody knows, number 15,000. */
export const unknownField = Buffer.from([0xc2, 0xa9, 0x07, 0x03, 0x61, 0x62, 0x63]);
