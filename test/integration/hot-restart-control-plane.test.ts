import { eventually } from "../helpers/eventually.ts";
import { envoy } from "../helpers/paths.ts";
import { ask } from "../helpers/proxy.ts";
import { Binary } from "../helpers/restarts/binary.ts";
import { MeshRig } from "../helpers/restarts/mesh-rig.ts";
import { avoidable } from "../helpers/restarts/rig.ts";
import { rigTest } from "../helpers/restarts/rig-test.ts";

/* The control plane goes away before and during a hot restart. Under load; what it has given already is served on. */

const away = { refuse: { calls: "all", code: 14, text: "away" } } as const;

/** The child with epoch 1 is there and waits for the file "go" before it becomes Envoy. */
const held = `case "$*" in *"--restart-epoch 1"*) while [ ! -e $here/go ]; do sleep 0.05; done ;; esac\nexec ${envoy} "$@"`;

rigTest("away before: refused, and nothing is touched; back: it works", async ({ expect, keep }) => {
  const rig = await MeshRig.start({}, keep);
  await rig.keeps();
  const load = await rig.load();
  rig.whole.world.plane.setFaults(away);
  rig.whole.world.plane.disconnectAll();
  const refused = await rig.command("--wait");
  expect(refused.code).toBe(1);
  expect(refused.said).toMatch(
    /cannot replace Envoy: refused: a new Envoy would wait for its listeners: .*(away|was lost)/,
  );
  expect(rig.proxy.output).not.toMatch(/Hot restart begins/);
  rig.whole.world.plane.setFaults({});
  // The way to it is tried again after a while only.
  await eventually("a restart", async () => (await rig.command("--wait")).code === 0);
  expect((await rig.untilAlone()).epoch).toBe(1);
  const report = await load.stop();
  expect(avoidable(report), String(report)).toEqual([]);
  expect(await rig.ends()).toEqual({ code: 0, signal: null });
});

rigTest("away when the child is there: it waits, the old one serves; back: it takes over", async ({ expect, keep }) => {
  const binary = new Binary(envoy);
  keep(binary);
  binary.becomeScript(held);
  const rig = await MeshRig.start({ env: { PILOTFISH_ENVOY: binary.path } }, keep);
  await rig.keeps();
  const load = await rig.load();
  const answer = rig.command("--wait");
  await rig.proxy.said(/Hot restart begins/);
  rig.whole.world.plane.setFaults(away);
  rig.whole.world.plane.disconnectAll();
  binary.create("go");
  const { admin } = rig.whole.ports;
  await eventually("the child waits for its clusters", async () =>
    /"state": "PRE_INITIALIZING"[\s\S]*"restart_epoch": 1/.test((await ask({ port: admin }, "/server_info")).body),
  );
  expect((await rig.whole.ready()).status).toBe(200);
  const before = (await load.tally()).ok;
  // Some seconds: a child that did not wait would be live without listeners by then.
  await eventually("requests are answered meanwhile", async () => (await load.tally()).ok > before + 1_500);
  expect(await rig.envoys()).toMatchObject([
    { epoch: 1, state: "initializing" },
    { epoch: 0, state: "live" },
  ]);
  rig.whole.world.plane.setFaults({});
  expect(await answer).toMatchObject({ code: 0 });
  expect((await rig.untilAlone()).epoch).toBe(1);
  const report = await load.stop();
  expect(avoidable(report), String(report)).toEqual([]);
  expect(await rig.ends()).toEqual({ code: 0, signal: null });
});
