import { afterEach, describe, expect, test } from "vitest";
import { capture, seedOptions } from "../helpers/capture-calls.ts";
import { engineSettings, engines } from "../helpers/capture-loads.ts";
import { command, startSidecar } from "../helpers/capture-proxy.ts";
import { type Actor, startActor } from "../helpers/net-actor.ts";
import { makePodAndPeer, type Namespace } from "../helpers/network-namespaces.ts";

/** T7, T8, T10 with a real Envoy: init, then sidecar, then application; each check is told by who answers and whom it saw. */
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** The pod's own address is .2; what Envoy sends out comes from .9, so that the peer can tell. */
function makePod(): { readonly pod: Namespace; readonly peer: Namespace } {
  const { pod, peer, done } = makePodAndPeer(
    ["10.77.0.2/24", "10.77.0.9/24", "fd77::2/64", "fd77::9/64"],
    ["10.77.0.3/24", "10.77.0.4/24", "fd77::3/64"],
  );
  undo.push(done);
  // Deprecated: the kernel takes it as source only for who asks for it.
  pod.sh("ip", "addr", "change", "fd77::9/64", "dev", "eth0", "preferred_lft", "0");
  return { pod, peer };
}

async function actor(namespace: Namespace, uid: number, gid = uid): Promise<Actor> {
  const made = await startActor(namespace, uid, gid);
  undo.push(() => made.done());
  return made;
}

const init = ["-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*"];
const more = ["-x", "10.77.0.4/32", "-b", "*", "-d", "15090,15020,9090", "-o", "3306"];
const optionsAsInit = {
  "istio-service-exclude-cidr": "10.77.0.4/32",
  "istio-local-exclude-ports": "15090,15020,9090",
  "istio-local-outbound-ports-exclude": "3306",
};

interface Players {
  readonly app: Actor;
  readonly proxyUser: Actor;
  readonly root: Actor;
  readonly peer: Actor;
}

async function players(pod: Namespace, peer: Namespace): Promise<Players> {
  const [app, proxyUser, root, outside] = await Promise.all([
    actor(pod, 1000),
    actor(pod, 1337),
    actor(pod, 0),
    actor(peer, 1000),
  ]);
  for (const host of ["0.0.0.0", "::"]) {
    for (const port of [8080, 9090]) await app.listen(host, port, "app");
    for (const port of [80, 3306]) await outside.listen(host, port, "peer");
  }
  return { app, proxyUser, root, peer: outside };
}

/** The twelve checks of the facts' section 3. */
async function twelveChecks({ app, proxyUser, root, peer }: Players): Promise<void> {
  const answers = {
    "peer to pod": await peer.dial("10.77.0.2", 8080),
    "peer to an excluded port": await peer.dial("10.77.0.2", 9090),
    "app to peer": await app.dial("10.77.0.3", 80),
    "proxy to peer": await proxyUser.dial("10.77.0.3", 80),
    "app to an excluded port": await app.dial("10.77.0.3", 3306),
    "app to an excluded range": await app.dial("10.77.0.4", 80),
    "app to the pod itself": await app.dial("10.77.0.2", 8080),
    "app to localhost": await app.dial("127.0.0.1", 8080),
    "proxy to the pod itself": await proxyUser.dial("10.77.0.2", 8080),
    "proxy to localhost": await proxyUser.dial("127.0.0.1", 8080),
    "root to peer": await root.dial("10.77.0.3", 80),
    "app to a closed port": await app.dial("10.77.0.3", 81),
  };
  expect(answers).toMatchObject({
    "peer to pod": { at: "app", saw: "127.0.0.6" },
    "peer to an excluded port": { at: "app", saw: "10.77.0.3" },
    "app to peer": { at: "peer", saw: "10.77.0.9" },
    "proxy to peer": { at: "peer", saw: "10.77.0.2" },
    "app to an excluded port": { at: "peer", saw: "10.77.0.2" },
    "app to an excluded range": { at: "peer", saw: "10.77.0.2" },
    "app to the pod itself": { at: "app", saw: "10.77.0.2" },
    "app to localhost": { at: "app", saw: "127.0.0.1" },
    "proxy to the pod itself": { at: "app", saw: "127.0.0.6" },
    "proxy to localhost": { at: "app", saw: "127.0.0.1" },
    "root to peer": { at: "peer", saw: "10.77.0.9" },
    // Capture hides "connection refused": Envoy accepts first.
    "app to a closed port": { error: expect.not.stringMatching("ECONNREFUSED") },
  });
}

describe("with Envoy started by our own proxy command", () => {
  test("REDIRECT: twelve checks, by each engine", async () => {
    const { pod, peer } = makePod();
    // The init container: the seed's command line under the seed's name for it.
    const done = command(pod, ["istio-iptables", ...init, ...more]);
    expect(done, done.text).toMatchObject({ code: 0 });
    const run = await startSidecar(pod, { outboundSource: "10.77.0.9" });
    undo.push(() => run.done());
    const all = await players(pod, peer);
    await twelveChecks(all);
    for (const engine of engines) {
      const options = seedOptions({ ...optionsAsInit, ...engineSettings(engine) });
      await capture(pod, options);
      await twelveChecks(all);
    }
  });

  test("dual stack: v6 goes through Envoy in both directions, by each engine", async () => {
    const { pod, peer } = makePod();
    for (const engine of engines) {
      await capture(pod, seedOptions({ ...optionsAsInit, "dual-stack": "true", ...engineSettings(engine) }));
      if (engine !== engines[0]) continue;
      const run = await startSidecar(pod, { outboundSource: "10.77.0.9", outboundSourceV6: "fd77::9" });
      undo.push(() => run.done());
    }
    const all = await players(pod, peer);
    for (const engine of engines) {
      await capture(pod, seedOptions({ ...optionsAsInit, "dual-stack": "true", ...engineSettings(engine) }));
      await twelveChecks(all);
      expect(await all.peer.dial("fd77::2", 8080)).toMatchObject({ at: "app", saw: "::6" });
      expect(await all.peer.dial("fd77::2", 9090)).toMatchObject({ at: "app", saw: "fd77::3" });
      expect(await all.app.dial("fd77::3", 80)).toMatchObject({ at: "peer", saw: "fd77::9" });
      expect(await all.proxyUser.dial("fd77::3", 80)).toMatchObject({ at: "peer", saw: "fd77::2" });
      expect(await all.proxyUser.dial("fd77::2", 8080)).toMatchObject({ at: "app", saw: "::6" });
      expect(await all.app.dial("::1", 8080)).toMatchObject({ at: "app", saw: "::1" });
      expect(await all.app.dial("fd77::3", 3306)).toMatchObject({ at: "peer", saw: "fd77::2" });
    }
  });
});

/** T8. As root with gid 1337, and as uid 1337 with the one capability, which Istio's rules do not allow. */
const net = ["--inh-caps", "+net_admin", "--ambient-caps", "+net_admin"];
test.each([
  ["root, gid 1337", { uid: 0, gid: 1337 }],
  ["uid 1337 with NET_ADMIN", { uid: 1337, gid: 1337, setpriv: net }],
] as const)("TPROXY: the application sees the client's address, by each engine (%s)", async (_, user) => {
  const { pod, peer } = makePod();
  const tproxy = { ...optionsAsInit, "istio-inbound-interception-mode": "TPROXY" };
  await capture(pod, seedOptions(tproxy));
  const run = await startSidecar(pod, { outboundSource: "10.77.0.9", transparentMark: 1337 }, user);
  undo.push(() => run.done());
  const { app, peer: outside } = await players(pod, peer);
  const proxyUser = await actor(pod, user.uid, user.gid);
  const count = async (name: string): Promise<number> =>
    Number(/: (\d+)/.exec(command(pod, ["request", "GET", `stats?filter=${name}`]).text)?.[1] ?? Number.NaN);
  for (const engine of engines) {
    await capture(pod, seedOptions({ ...tproxy, ...engineSettings(engine) }));
    const before = await count("tcp.inbound.downstream_cx_total");
    expect(await outside.dial("10.77.0.2", 8080)).toMatchObject({ at: "app", saw: "10.77.0.3", as: "10.77.0.2" });
    expect(await proxyUser.dial("10.77.0.2", 8080)).toMatchObject({ at: "app", saw: "10.77.0.2" });
    expect(await count("tcp.inbound.downstream_cx_total"), "both went through Envoy's inbound side").toBe(before + 2);
    expect(await outside.dial("10.77.0.2", 9090)).toMatchObject({ at: "app", saw: "10.77.0.3" });
    expect(await app.dial("10.77.0.3", 80)).toMatchObject({ at: "peer", saw: "10.77.0.9" });
    expect(await app.dial("10.77.0.2", 8080)).toMatchObject({ at: "app", saw: "10.77.0.2" });
    expect(await count("tcp.inbound.downstream_cx_total"), "and nothing else").toBe(before + 2);
  }
});
