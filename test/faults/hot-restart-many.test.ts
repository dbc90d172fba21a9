import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { envoy, previousEnvoy } from "../helpers/paths.ts";
import { ask } from "../helpers/proxy.ts";
import { Binary } from "../helpers/restarts/binary.ts";
import { answeringListener } from "../helpers/restarts/bootstrap.ts";
import { MeshRig } from "../helpers/restarts/mesh-rig.ts";
import { longestGap, pollOf } from "../helpers/restarts/poll.ts";
import { avoidable, RestartRig } from "../helpers/restarts/rig.ts";
import { rigTest } from "../helpers/restarts/rig-test.ts";

/* Many restarts in a row under load, and what takes its time. The quick passes are test/integration/hot-restart*.ts. */

const MANY = 20;
/** Several rigs go on at once: their clients take it slowly. */
const PAUSE = 20;

/** Between the old Envoy's end and our listening in its place: milliseconds, on an idle machine. */
const ADMIN_GAP = 1_000;

const serves = (port: number): Promise<boolean> =>
  ask({ port }, "/").then(
    ({ body }) => body === "other",
    () => false,
  );

rigTest("twenty in a row on a static configuration", async ({ expect, keep }) => {
  const rig = await RestartRig.start({}, keep);
  await rig.keeps();
  const load = await rig.load(rig.entries(PAUSE));
  const ready = pollOf(rig.ports.readiness, "/healthz/ready", 100);
  for (let epoch = 1; epoch <= MANY; epoch++)
    expect((await rig.restart()).said).toMatch(new RegExp(`^hot restart done: epoch ${epoch} serves`));
  const report = await load.stop();
  expect(avoidable(report), String(report)).toEqual([]);
  expect((await ready.stop()).bad).toEqual([]);
  expect(await rig.ends()).toEqual({ code: 0, signal: null });
});

rigTest("twenty in a row, configuration by ADS, mTLS with certificates by SDS", async ({ expect, keep }) => {
  const rig = await MeshRig.start({}, keep);
  await rig.keeps();
  const load = await rig.load(PAUSE);
  for (let n = 0; n < MANY; n++) await rig.restart();
  expect((await rig.untilAlone()).epoch).toBe(MANY);
  const report = await load.stop();
  expect(avoidable(report), String(report)).toEqual([]);
  expect(await rig.ends()).toEqual({ code: 0, signal: null });
});

rigTest("twenty in a row while listeners come, move and go", async ({ expect, keep }) => {
  const rig = await MeshRig.start({}, keep);
  const [first = 0, second = 0] = await freePorts(2);
  await rig.keeps();
  const load = await rig.load(PAUSE);
  const places = [first, second, undefined];
  for (let n = 0; n < MANY; n++) {
    const at = places[n % places.length];
    // The push comes while the child initializes or the old one drains, as it may.
    const restarted = rig.restart();
    rig.give(at === undefined ? [] : [answeringListener("other", at, "other")]);
    await restarted;
    for (const port of [first, second])
      await eventually(`${port} in round ${n}`, async () => (await serves(port)) === (port === at));
  }
  const report = await load.stop();
  expect(avoidable(report), String(report)).toEqual([]);
  rig.give([]);
  expect(await rig.ends()).toEqual({ code: 0, signal: null });
});

rigTest("1.39 and 1.40 in turn, ten times", async ({ expect, keep }) => {
  const binary = new Binary(envoy);
  keep(binary);
  const rig = await RestartRig.start({ env: { PILOTFISH_ENVOY: binary.path } }, keep);
  await rig.keeps();
  const load = await rig.load(rig.entries(PAUSE));
  for (let n = 0; n < 10; n++) {
    binary.become(n % 2 === 0 ? previousEnvoy : envoy);
    expect((await rig.restart()).said).toMatch(/^hot restart done/);
  }
  const report = await load.stop();
  expect(avoidable(report), String(report)).toEqual([]);
  expect(await rig.ends()).toEqual({ code: 0, signal: null });
});

rigTest("ten swaps in a row, a hot restart after each second one", async ({ expect, keep }) => {
  const rig = await RestartRig.start({ args: ["--probation", "2s"] }, keep);
  await rig.keeps();
  const load = await rig.load(rig.entries(PAUSE));
  const ready = pollOf(rig.ports.readiness, "/healthz/ready", 100);
  const admin = pollOf(rig.ports.admin, "/server_info");
  for (let n = 0; n < 10; n++) {
    expect((await rig.restart("--strategy", "swap")).said).toMatch(/^swap done: epoch 0 serves/);
    if (n === 0) await rig.keeps();
    if (n % 2 === 1) expect((await rig.restart()).said).toMatch(/^hot restart done: epoch 1 serves/);
  }
  const report = await load.stop();
  expect(avoidable(report), String(report)).toEqual([]);
  expect((await ready.stop()).bad).toEqual([]);
  const { bad } = await admin.stop();
  expect(longestGap(bad), JSON.stringify(bad)).toBeLessThan(ADMIN_GAP);
  expect(await rig.ends()).toEqual({ code: 0, signal: null });
});

rigTest(
  "a control plane that never comes back while the child waits: given up, the old one serves on",
  async ({ expect, keep }) => {
    const binary = new Binary(envoy);
    keep(binary);
    binary.becomeScript(`
case "$*" in *"--restart-epoch 1"*) while [ ! -e $here/go ]; do sleep 0.05; done ;; esac
exec ${envoy} "$@"`);
    const rig = await MeshRig.start({ env: { PILOTFISH_ENVOY: binary.path } }, keep);
    await rig.keeps();
    const first = await rig.untilAlone();
    const load = await rig.load(PAUSE);
    const answer = rig.command("--wait");
    await rig.proxy.said(/Hot restart begins/);
    rig.whole.world.plane.setFaults({ refuse: { calls: "all", code: 14, text: "away" } });
    rig.whole.world.plane.disconnectAll();
    binary.create("go");
    await rig.proxy.said(/The new Envoy is given up.*it was not live within 60 s/, 90_000);
    // The next try is refused by the preflight.
    const { code, said } = await answer;
    expect([code, said]).toEqual([1, expect.stringMatching(/^pilotfish: cannot replace Envoy: refused: a new Envoy/)]);
    expect(await rig.untilAlone()).toMatchObject({ pid: first.pid, epoch: 0 });
    rig.whole.world.plane.setFaults({});
    await eventually("a restart", async () => (await rig.command("--wait")).code === 0);
    expect((await rig.untilAlone()).epoch).toBe(1);
    const report = await load.stop();
    expect(avoidable(report), String(report)).toEqual([]);
    expect(await rig.ends()).toEqual({ code: 0, signal: null });
  },
);
