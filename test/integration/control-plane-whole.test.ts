import { writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { load, mtls, resourcesOf, type Whole, whole } from "../control-plane/whole.ts";
import { eventually } from "../helpers/eventually.ts";
import { ask } from "../helpers/proxy.ts";
import { hello } from "../sds/real-envoy.ts";

let w: Whole;
beforeEach(async () => {
  w = await whole();
});
afterEach(() => w.done());

const metric = async (name: string): Promise<number> => {
  const page = (await ask({ port: w.ports.status }, "/metrics")).body;
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(page)?.[1] ?? Number.NaN);
};

describe("pilotfish proxy, a real Envoy and a control plane", () => {
  test("certificate, mTLS listener and routes arrive; ready; our SPIFFE URI in Envoy's /certs; ends with 0", async () => {
    const run = w.start();
    await eventually("ready", async () => (await w.ready()).status === 200);
    const client = await w.client();
    expect(await mtls(w.ports.listener, client)).toMatchObject({
      status: 200,
      uri: "URI:spiffe://cluster.local/ns/ns/sa/server",
    });
    expect((await ask({ port: w.ports.admin }, "/certs")).body).toContain("spiffe://cluster.local/ns/ns/sa/server");
    expect(await metric("istio_agent_cert_expiry_seconds")).toBeGreaterThan(3_600);
    expect(await metric("istio_agent_num_outgoing_requests")).toBe(1);
    expect(await metric("istio_agent_xds_proxy_requests")).toBeGreaterThanOrEqual(4);
    expect(await metric("istio_agent_xds_proxy_responses")).toBeGreaterThanOrEqual(2);
    run.signal("SIGTERM");
    expect(await run.exited).toEqual({ code: 0, signal: null });
  });

  test("half a minute of load over rotations every ten seconds: no failed request, no failed handshake", async () => {
    w.world.plane.setFaults({ lifetime: 20_000 });
    w.start();
    await eventually("ready", async () => (await w.ready()).status === 200);
    const client = await w.client();
    const until = performance.now() + 30_000;
    const { sent, failures, serials } = await load(w.ports.listener, client, () => performance.now() > until);
    expect(failures).toEqual([]);
    expect(sent).toBeGreaterThan(100);
    expect(serials.size).toBeGreaterThanOrEqual(3);
    expect((await w.ready()).status).toBe(200);
  });

  test("the control plane is taken away three times: streams, descriptors, timers and handles are as before", async () => {
    w.start();
    await eventually("ready", async () => (await w.ready()).status === 200);
    const client = await w.client();
    await client.stop();
    const before = await w.held();
    expect(before).toMatchObject({ discoveryStreams: 1, secretStreams: 2 });
    for (let n = 0; n < 3; n++) {
      w.world.plane.setFaults({ refuse: { calls: "all", code: 14, text: "away" } });
      w.world.plane.disconnectAll();
      expect(await mtls(w.ports.listener, client)).toMatchObject({ status: 200 });
      w.world.plane.setFaults({});
      await w.settled(before);
    }
  });

  test("readiness tells the stage: no control plane, then a token that is refused, then ready", async () => {
    w.world.plane.setFaults({ refuse: { calls: "all", code: 16, text: "who are you" } });
    w.start();
    await eventually("not ready for that reason", async () => {
      const { status, body } = await w.ready();
      return status === 503 && /UNAUTHENTICATED: who are you/.test(body);
    });
    w.world.plane.setFaults({ refuse: { calls: "ca", code: 7, text: "not in this mesh" } });
    // CDS and LDS come; the listener waits for its certificate.
    await eventually("the certificate's reason", async () =>
      /certificate: .*says no: not in this mesh/.test((await w.ready()).body),
    );
    w.world.plane.setFaults({});
    await eventually("ready", async () => (await w.ready()).status === 200);
  });

  test("what Envoy refuses is counted under the peer's name and ours; what it serves goes on", async () => {
    const page = async (): Promise<string> => (await ask({ port: w.ports.status }, "/metrics")).body;
    w.start();
    await eventually("ready", async () => (await w.ready()).status === 200);
    const client = await w.client();
    expect(await page()).not.toMatch(/rejects\{/);
    expect(await metric("istio_agent_pilot_total_xds_internal_errors")).toBe(0);
    expect(await metric("istio_agent_pilot_xds_recv_max")).toBeGreaterThan(100);
    expect(await metric("istio_agent_pilot_xds_send_time_count")).toBeGreaterThanOrEqual(2);
    writeFileSync(w.resources, resourcesOf({ name: "broken", address: {} }));
    await eventually("the peer's count", async () =>
      (await page()).includes('\nistio_agent_pilot_total_xds_rejects{type="lds"} 1\n'),
    );
    expect(await page()).toContain('\npilotfish_config_rejections_total{type="LDS"} 1\n');
    expect(await mtls(w.ports.listener, client)).toMatchObject({ status: 200 });
    expect((await w.ready()).status).toBe(200);
  });

  test("a listener in plain text needs no certificate and is not held up by a CA that hangs", async () => {
    w.world.plane.setFaults({ hang: "ca" });
    writeFileSync(
      w.resources,
      resourcesOf({
        name: "plain",
        address: { socket_address: { address: "127.0.0.1", port_value: w.ports.listener } },
        filter_chains: [{ filters: [hello] }],
      }),
    );
    w.start();
    await eventually("ready", async () => (await w.ready()).status === 200);
    expect(await ask({ port: w.ports.listener }, "/")).toMatchObject({ status: 200, body: "hello" });
  });
});
