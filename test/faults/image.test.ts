import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { type BuiltImage, buildImage } from "../helpers/image/build-image.ts";
import { Container } from "../helpers/image/container.ts";
import type { ContainerWish } from "../helpers/image/oci-spec.ts";
import { makePodAndPeer } from "../helpers/network-namespaces.ts";
import { root, temporaryFolder } from "../helpers/paths.ts";
import { staticBootstrap } from "../helpers/static-bootstrap.ts";

/*
 * The real Dockerfile, built with images made on this machine, run by runc as a kubelet would have it run: PID 1, uid
 * 1337, no capability, read-only root, the volumes that injection asks for, a network namespace of the pod's own.
 */

const missing = ["buildah", "mmdebstrap", "runc"].filter((program) => spawnSync("which", [program]).status !== 0);
/** Why this can't run here, or undefined. */
const obstacle =
  process.getuid?.() !== 0 ? "not root" : missing.length > 0 ? `${missing.join(" and ")} not installed` : undefined;
const possible = obstacle === undefined;
const where = possible ? "" : ` (skipped: ${obstacle})`;

const folder = temporaryFolder("image");
let image: BuiltImage;
let pod: ReturnType<typeof makePodAndPeer>;
const running: Container[] = [];

beforeAll(() => {
  if (possible) image = buildImage();
});
afterAll(() => {
  if (possible) image.done();
  folder.done();
});
beforeEach(() => {
  if (possible) pod = makePodAndPeer();
});
afterEach(async () => {
  for (const one of running.splice(0)) await one.done();
  if (possible) pod.done();
});

function run(wish: Partial<ContainerWish> = {}): Container {
  const container = new Container(image, { network: pod.pod.path, ...wish });
  running.push(container);
  return container;
}

/** The volumes of injection, by their mount paths. */
const emptyDirs = [
  "/var/run/secrets/workload-spiffe-uds",
  "/var/run/secrets/credential-uds",
  "/var/run/secrets/workload-spiffe-credentials",
  "/var/lib/istio/data",
  "/etc/istio/proxy",
];

function sidecar(args: readonly string[] = []): Container {
  const custom = join(folder.path, "envoy.json");
  const bootstrap = staticBootstrap({
    adminPort: 15000,
    readiness: { port: 15021, statusPort: 15020 },
    prometheus: { port: 15090 },
  });
  writeFileSync(custom, JSON.stringify(bootstrap), { mode: 0o644 });
  return run({
    args: ["proxy", "sidecar", "--customConfigFile", "/etc/istio/custom/envoy.json", "--concurrency", "1", ...args],
    env: { POD_NAME: "shop", POD_NAMESPACE: "default", INSTANCE_IP: "10.77.0.2", ISTIO_META_CLUSTER_ID: "Kubernetes" },
    emptyDirs,
    files: { "/etc/istio/custom/envoy.json": custom },
  });
}

/** One request from another machine of the pod's network, as the kubelet asks; 0 without an answer. */
function statusFromOutside(port: number, path: string): number {
  const program = `fetch("http://10.77.0.2:${port}${path}").then((a) => console.log(a.status), () => console.log(0))`;
  return Number(pod.peer.sh(process.execPath, "-e", program));
}

async function ready(container: Container): Promise<void> {
  const asked = () => statusFromOutside(15021, "/healthz/ready") === 200;
  await eventually("200 on 15021", asked).catch((cause: unknown) => {
    throw new Error(`not ready; it said: ${container.output.slice(-3000)}`, { cause });
  });
}

describe.skipIf(!possible)(`the sidecar's role${where}`, () => {
  test("ready on 15021, as PID 1 with uid 1337, without a capability, on a read-only root; SIGTERM ends it with 0", async () => {
    const container = sidecar();
    await ready(container);
    const all = container.processes();
    // Node calls its first thread so.
    expect(all.map((one) => one.name).toSorted()).toEqual(["MainThread", "envoy"]);
    for (const one of all) expect(one).toMatchObject({ uid: 1337, capabilities: "0000000000000000", zombie: false });
    expect(readFileSync(`/proc/${container.pid()}/status`, "utf8")).toMatch(/^NSpid:\s+\d+\s+1$/m);
    expect(container.exec("sh", "-c", "echo >/new").stderr).toContain("Read-only file system");
    expect(statusFromOutside(15020, "/stats/prometheus")).toBe(200);
    // What may only be asked from inside is refused to the network.
    expect(statusFromOutside(15020, "/debug/config")).toBe(403);
    container.signal("TERM");
    expect((await container.end()).code, container.output).toBe(0);
  });

  test("orphans of whoever was exec'ed are reaped", async () => {
    const container = sidecar();
    await ready(container);
    const first = container.pid();
    const sleepers = () => container.processes().filter((one) => one.name === "sleep");
    container.exec("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 600 </dev/null >/dev/null 2>&1 & done");
    // They are its children now: nobody else takes them when they die.
    await eventually("adoption", () => sleepers().filter((one) => one.parent === first).length === 10);
    for (const { pid } of sleepers()) process.kill(pid, "SIGKILL");
    await eventually("no orphan is left, not even as a zombie", () => sleepers().length === 0);
    expect(statusFromOutside(15021, "/healthz/ready")).toBe(200);
  });

  test("an Envoy that is killed comes back over its own listen sockets; a SIGTERM ends it all", async () => {
    const container = sidecar();
    await ready(container);
    const envoys = () => container.processes().filter((one) => one.name === "envoy");
    const [first] = envoys();
    await eventually("its listen sockets are kept", () =>
      container.exec("pilotfish", "status", "--json").stdout.match(/"keptSockets":\s*[1-9]/),
    );
    process.kill(first?.pid ?? -1, "SIGKILL");
    await eventually("another one", () => envoys().some((one) => one.pid !== first?.pid));
    await ready(container);
    expect(container.output).toMatch(/SIGKILL/);
    await eventually("the next epoch", () => /Envoy is live.*epoch[=":]+1/.test(container.output));
    container.signal("TERM");
    expect((await container.end()).code, container.output).toBe(0);
  });

  test("the commands that a pod's hooks call work under the peer's name", async () => {
    const container = sidecar();
    await eventually("a container to exec in", () => container.exec("true").code === 0);
    expect(container.exec("pilot-agent", "wait")).toMatchObject({ code: 0 });
    expect(container.exec("pilot-agent", "request", "GET", "/server_info").stdout).toContain('"LIVE"');
    expect(container.exec("pilot-agent", "request", "--debug-port=15020", "POST", "drain")).toMatchObject({ code: 0 });
    await eventually("draining is not ready", () => statusFromOutside(15020, "/healthz/ready") === 503);
  });

  test("without volumes a read-only root is told in words, exit code 69, and nothing hangs", async () => {
    const container = run({ args: ["proxy", "sidecar"], env: { POD_NAME: "shop", POD_NAMESPACE: "default" } });
    const { code } = await container.end();
    expect(code, container.output).toBe(69);
    expect(container.output).toMatch(/cannot .*etc\/istio\/proxy/);
  });
});

describe.skipIf(!possible)(`the init role${where}`, () => {
  test("istio-iptables sets the rules with NET_ADMIN and NET_RAW alone, on a read-only root", async () => {
    const container = run({
      args: [
        "istio-iptables",
        "-p",
        "15001",
        "-z",
        "15006",
        "-u",
        "1337",
        "-m",
        "REDIRECT",
        "-i",
        "*",
        "-x",
        "",
        "-b",
        "*",
        "-d",
        "15090,15021,15020",
      ],
      user: "0:0",
      capabilities: ["NET_ADMIN", "NET_RAW"],
    });
    expect((await container.end()).code, container.output).toBe(0);
    const rules = pod.pod.sh("nft", "list", "ruleset") + pod.pod.sh("iptables-legacy-save");
    expect(rules).toContain("15001");
    expect(rules).toContain("15006");
  });

  test("without NET_ADMIN it fails and says what is missing", async () => {
    const container = run({ args: ["istio-iptables", "-p", "15001", "-u", "1337"], user: "0:0" });
    expect((await container.end()).code, container.output).toBe(1);
    expect(container.output).toMatch(/NET_ADMIN/);
  });
});

/** Whether V8 takes the code cache beside the bundle. */
const cacheRejected = `
  const { readFileSync } = require("node:fs");
  const home = "/usr/local/lib/pilotfish/dist/pilotfish";
  const wrapped = require("node:module").wrap(readFileSync(home + ".cjs", "latin1"));
  const cachedData = readFileSync(home + ".cache").subarray(32);
  console.log(new (require("node:vm").Script)(wrapped, { cachedData }).cachedDataRejected);`;

describe.skipIf(!possible)(`the image itself${where}`, () => {
  test("its code cache fits its Node", async () => {
    const container = sidecar();
    await ready(container);
    // A cache is refused under other flags than those that it was made with.
    const launcher = readFileSync(join(root, "bin/pilotfish"), "utf8");
    const flags = [...launcher.matchAll(/^(?:heap|compile)="([^"]+)"$/gm)].flatMap(([, words = ""]) =>
      words.split(" "),
    );
    const { stdout } = container.exec("/usr/local/lib/pilotfish/bin/node", ...flags, "-e", cacheRejected);
    expect(stdout.trim()).toBe("false");
  });

  const inside = (path: string): string => join(image.root, path);

  test("pilot-agent version names version, commit and Node", async () => {
    const text = (await run({ args: ["version"] }).end()).stdout;
    expect(text).toMatch(/^pilotfish \d+\.\d+\.\d+ \(0123456789ab\), Node v24\./);
    const names = execFileSync("ls", [inside("usr/local/bin")], { encoding: "utf8" })
      .trim()
      .split("\n");
    expect(names).toEqual(["envoy", "istio-iptables", "pilot-agent", "pilotfish"]);
  });

  test("says how it is started, and by whom", () => {
    expect(image.config).toMatchObject({
      Entrypoint: ["/usr/local/bin/pilotfish"],
      Cmd: ["proxy", "sidecar"],
      User: "1337:1337",
      WorkingDir: "/",
    });
    expect(statSync(inside("etc/istio/proxy"))).toMatchObject({ uid: 1337, gid: 1337 });
    expect(readFileSync(inside("etc/passwd"), "utf8")).toMatch(/^istio-proxy:x:1337:1337:/m);
  });

  test("holds what is needed and no more", () => {
    const ours = execFileSync("find", [inside("usr/local/lib/pilotfish"), "-type", "f", "-printf", "%P\n"], {
      encoding: "utf8",
    });
    const files = ours
      .trim()
      .split("\n")
      .filter((path) => !path.startsWith("node_modules/"));
    expect(files.sort()).toEqual([
      "LICENSE",
      "LICENSE.node",
      "THIRD-PARTY-LICENSES",
      "bin/node",
      "bin/pilotfish",
      "bin/start.cjs",
      "dist/envoy-descriptors.json",
      "dist/pilotfish.cache",
      "dist/pilotfish.cjs",
    ]);
    expect(ours.split("\n").filter((path) => path.endsWith("/koffi.node"))).toHaveLength(1);
    const bytes = Number(
      execFileSync("du", ["-sb", inside("usr/local/lib/pilotfish")], { encoding: "utf8" }).split("\t")[0],
    );
    // Node is 127 MB of it.
    expect(bytes - statSync(inside("usr/local/lib/pilotfish/bin/node")).size).toBeLessThan(6e6);
  });
});
