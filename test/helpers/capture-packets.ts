import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { Engine } from "../../src/capture/capture-options.ts";
import { capture, seedOptions } from "./capture-calls.ts";
import { engineSettings } from "./capture-loads.ts";
import { command } from "./capture-proxy.ts";
import { eventually } from "./eventually.ts";
import { type Actor, startActor } from "./net-actor.ts";
import { connect, makeNamespace, makePodAndPeer, type Namespace } from "./network-namespaces.ts";
import { temporaryFolder } from "./paths.ts";

/** T9 (DNS), T10 (v6), T11 (interfaces): packets, with listeners in place of Envoy and the agent. */
const undo: (() => void)[] = [];

async function actor(namespace: Pick<Namespace, "prefix">, uid: number): Promise<Actor> {
  const made = await startActor(namespace, uid);
  undo.push(() => made.done());
  return made;
}

function pair(pod: readonly string[], peer: readonly string[]): { readonly pod: Namespace; readonly peer: Namespace } {
  const made = makePodAndPeer(pod, peer);
  undo.push(() => made.done());
  return made;
}

/** Listeners where Envoy's would be, as the proxy's user. */
async function standIns(pod: Namespace, hosts: readonly string[]): Promise<Actor> {
  const proxy = await actor(pod, 1337);
  for (const host of hosts) {
    await proxy.listen(host, 15001, "outbound");
    await proxy.listen(host, 15006, "inbound");
  }
  return proxy;
}

/** `enginesOf`: by which engines the nth subject is tried. */
export function packetTests(enginesOf: (subject: number) => readonly Engine[]): void {
  afterEach(() => {
    for (const step of undo.splice(0).reverse()) step();
  });

  test("DNS: the application asks the agent, the agent the world, from the same port at the same time", async () => {
    const { pod, peer } = pair(["10.77.0.2/24"], ["10.77.0.3/24", "10.77.0.4/24"]);
    const folder = temporaryFolder("dns");
    undo.push(folder.done);
    const resolvConf = join(folder.path, "resolv.conf");
    writeFileSync(resolvConf, "nameserver 10.77.0.3\n");
    const mounted = [
      "unshare",
      "--mount",
      "sh",
      "-c",
      `mount --bind ${resolvConf} /etc/resolv.conf && exec "$@"`,
      "sh",
    ];
    const withResolvConf = { prefix: [...pod.prefix, ...mounted] };
    const [agent, upstream, app] = [await actor(pod, 1337), await actor(peer, 0), await actor(withResolvConf, 1000)];
    await agent.ask("dnsListen", { host: "127.0.0.1", port: 15053, address: "1.1.1.1" });
    await upstream.ask("dnsListen", { host: "0.0.0.0", port: 53, address: "2.2.2.2" });
    expect(await app.ask("resolve", { name: "x.test" })).toMatchObject({ at: "2.2.2.2" });
    const seed = ["-i", "*", "-b", "*", "-d", "15090,15020"];
    for (const engine of enginesOf(0)) {
      const how = Object.entries(engineSettings(engine)).map(([name, value]) => `--${name}=${value}`);
      // Only the servers of resolv.conf, read by the command itself.
      const done = command(pod, ["iptables", ...seed, ...how, "--redirect-dns"], mounted);
      expect(done, done.text).toMatchObject({ code: 0 });
      expect(await app.ask("resolve", { name: "x.test" })).toMatchObject({ at: "1.1.1.1" });
      expect(await app.ask("resolveTcp", { host: "10.77.0.3" })).toMatchObject({ at: "1.1.1.1" });
      expect(await app.ask("resolveTcp", { host: "10.77.0.4" })).toMatchObject({ error: "ECONNREFUSED" });
      expect(await agent.ask("resolveTcp", { host: "10.77.0.3" })).toMatchObject({ at: "2.2.2.2" });
      // Every server.
      await capture(pod, seedOptions({ ...engineSettings(engine), "redirect-dns": "true", "capture-all-dns": "true" }));
      expect(await app.ask("resolveTcp", { host: "10.77.0.4" })).toMatchObject({ at: "1.1.1.1" });
      expect(await agent.ask("resolveTcp", { host: "10.77.0.4" })).toMatchObject({ at: "2.2.2.2" });
    }
  });

  test("DNS: conntrack zones keep two users of one port apart", async () => {
    const { pod, peer } = pair(["10.77.0.2/24"], ["10.77.0.3/24"]);
    const [agent, upstream, app] = [await actor(pod, 1337), await actor(peer, 0), await actor(pod, 1000)];
    await agent.ask("udpListen", { host: "127.0.0.1", port: 15053, name: "agent" });
    await upstream.ask("udpListen", { host: "0.0.0.0", port: 53, name: "upstream" });
    for (const [index, engine] of enginesOf(1).entries()) {
      const dns = { "redirect-dns": "true", "capture-all-dns": "true" };
      await capture(pod, seedOptions({ ...engineSettings(engine), ...dns }));
      const question = { host: "10.77.0.3", port: 53, localPort: 41_000 + index };
      expect(await app.ask("udpAsk", question)).toMatchObject({ at: "agent", from: "10.77.0.3" });
      expect(await agent.ask("udpAsk", question)).toMatchObject({ at: "upstream", from: "10.77.0.3" });
      expect(await app.ask("udpAsk", question)).toMatchObject({ at: "agent", from: "10.77.0.3" });
      const flows = pod
        .sh("cat", "/proc/net/nf_conntrack")
        .split("\n")
        .filter((line) => line.includes(`sport=${question.localPort} `));
      expect(flows.filter((line) => line.includes("zone=2"))).toHaveLength(1);
      expect(flows.filter((line) => line.includes("zone=1"))).toHaveLength(1);
    }
  });

  describe("v6 never bypasses silently", () => {
    const both = ["0.0.0.0", "::"];
    interface Case {
      readonly title: string;
      readonly pod: readonly string[];
      readonly more: Readonly<Record<string, string>>;
      readonly says: string;
      /** What the application meets when it dials the peer's v6 address, and the peer the pod's. */
      readonly out: object;
      readonly in: object;
    }
    const refused = { error: "ECONNREFUSED" };
    const cases: readonly Case[] = [
      {
        title: "dual addresses, v4 proxy",
        pod: ["10.77.0.2/24", "fd77::2/64"],
        more: {},
        says: "ipv6: reject",
        out: refused,
        in: refused,
      },
      {
        title: "dual stack",
        pod: ["10.77.0.2/24", "fd77::2/64"],
        more: { "dual-stack": "true" },
        says: "ipv6: capture",
        out: { at: "outbound" },
        in: { at: "inbound" },
      },
      {
        title: "v6 only",
        pod: ["fd77::2/64"],
        more: {},
        says: "ipv6: capture",
        out: { at: "outbound" },
        in: { at: "inbound" },
      },
      {
        title: "bypass, as asked",
        pod: ["10.77.0.2/24", "fd77::2/64"],
        more: { ipv6: "bypass" },
        says: "ipv6: bypass",
        out: { at: "peer" },
        in: { at: "app" },
      },
    ];
    test.each(cases)("$title", async ({ title, pod: addresses, more, says, out, in: incoming }) => {
      const { pod, peer } = pair(addresses, ["10.77.0.3/24", "fd77::3/64"]);
      const proxy = await standIns(pod, both);
      const [app, outside] = [await actor(pod, 1000), await actor(peer, 1000)];
      for (const host of both) {
        await app.listen(host, 8080, "app");
        await app.listen(host, 15090, "free");
        await outside.listen(host, 80, "peer");
      }
      for (const engine of enginesOf(cases.findIndex((one) => one.title === title))) {
        const { text } = await capture(pod, seedOptions({ ...more, ...engineSettings(engine) }));
        expect(text).toContain(says);
        expect(await app.dial("fd77::3", 80)).toMatchObject(out);
        expect(await outside.dial("fd77::2", 8080)).toMatchObject(incoming);
        // What capture lets pass, passes.
        expect(await outside.dial("fd77::2", 15090)).toMatchObject({ at: "free" });
        expect(await proxy.dial("fd77::3", 80)).toMatchObject({ at: "peer" });
        expect(await app.dial("fd77::2", 8080)).toMatchObject({ at: "app" });
        expect(await app.dial("::1", 8080)).toMatchObject({ at: "app" });
        if (!addresses.some((one) => one.includes("."))) continue;
        expect(await app.dial("10.77.0.3", 80)).toMatchObject({ at: "outbound" });
        expect(await outside.dial("10.77.0.2", 8080)).toMatchObject({ at: "inbound" });
      }
    });

    test("a link-local address is an address", async () => {
      const { pod, peer } = pair(["10.77.0.2/24", "fe80::2/64"], ["10.77.0.3/24", "fe80::3/64"]);
      const [app, outside] = [await actor(pod, 1000), await actor(peer, 1000)];
      await outside.listen("::", 80, "peer");
      await eventually("the peer answers", async () => (await app.dial("fe80::3%eth0", 80)).at === "peer");
      const { text } = await capture(pod, seedOptions());
      expect(text).toContain("ipv6: reject: the pod can be reached by fe80::");
      expect(await app.dial("fe80::3%eth0", 80)).toMatchObject(refused);
    });

    test("DNS over v6 is refused where the proxy does not listen on v6", async () => {
      const { pod, peer } = pair(["10.77.0.2/24", "fd77::2/64"], ["10.77.0.3/24", "fd77::3/64"]);
      const [app, outside] = [await actor(pod, 1000), await actor(peer, 0)];
      await outside.ask("udpListen", { host: "::", port: 53, name: "peer" });
      const question = { host: "fd77::3", port: 53 };
      // The first packet on a new link may be lost: neighbour discovery asks again only after a second.
      await eventually("the peer answers", async () => (await app.ask("udpAsk", question)).at === "peer");
      for (const engine of enginesOf(3)) {
        await capture(
          pod,
          seedOptions({ ...engineSettings(engine), "redirect-dns": "true", "capture-all-dns": "true" }),
        );
        expect(await app.ask("udpAsk", question)).toMatchObject({ error: "ECONNREFUSED" });
      }
    });
  });

  test("interfaces: an excluded one is left alone, a virtual machine's counts as outbound", async () => {
    const { pod, peer } = pair(["10.77.0.2/24"], ["10.77.0.3/24"]);
    connect(pod, peer, "eth1", ["10.78.0.2/24"], ["10.78.0.3/24"]);
    const machine = makeNamespace("vm");
    undo.push(() => machine.done());
    connect(pod, machine, "vnet0", ["10.79.0.1/24"], ["10.79.0.2/24"]);
    machine.sh("ip", "route", "add", "default", "via", "10.79.0.1");
    await standIns(pod, ["0.0.0.0"]);
    const [app, outside, guest] = [await actor(pod, 1000), await actor(peer, 1000), await actor(machine, 1000)];
    await app.listen("0.0.0.0", 8080, "app");
    await outside.listen("0.0.0.0", 80, "peer");
    for (const engine of enginesOf(4)) {
      for (const mode of ["REDIRECT", "TPROXY"]) {
        const more = {
          "istio-exclude-interfaces": "eth1",
          "kube-virt-interfaces": "vnet0",
          "istio-inbound-interception-mode": mode,
        };
        await capture(
          pod,
          seedOptions({ ...engineSettings(engine), ...more, "istio-service-exclude-cidr": "10.77.0.0/24" }),
        );
        expect(await outside.dial("10.78.0.2", 8080)).toMatchObject({ at: "app", saw: "10.78.0.3" });
        expect(await app.dial("10.78.0.3", 80)).toMatchObject({ at: "peer", saw: "10.78.0.2" });
        expect(await guest.dial("203.0.113.9", 443)).toMatchObject({ at: "outbound", saw: "10.79.0.2" });
        // No token listener is transparent: TPROXY takes the connection and lets nobody answer, rather than the application.
        const inbound = mode === "REDIRECT" ? { at: "inbound" } : { error: "timeout" };
        expect(await outside.dial("10.77.0.2", 8080, { limit: 300 })).toMatchObject(inbound);
      }
    }
  });
}
