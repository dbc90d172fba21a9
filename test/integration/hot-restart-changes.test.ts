import { eventually } from "../helpers/eventually.ts";
import { envoy, previousEnvoy } from "../helpers/paths.ts";
import { ask } from "../helpers/proxy.ts";
import { Binary } from "../helpers/restarts/binary.ts";
import { answeringListener, type MutableBootstrap } from "../helpers/restarts/bootstrap.ts";
import { pollOf } from "../helpers/restarts/poll.ts";
import { avoidable, RestartRig } from "../helpers/restarts/rig.ts";
import { rigTest } from "../helpers/restarts/rig-test.ts";

/* What Envoy is started with changes, for the better and the worse; and several ask at once. Under load. */

/** Nobody here has this address: Envoy accepts it when it validates, and can't bind it. */
const NOT_OURS = "10.9.9.9";

const withListenerAt =
  (host: string, port: number) =>
  (bootstrap: object): object => {
    const { static_resources } = bootstrap as MutableBootstrap;
    const address = { socket_address: { address: host, port_value: port } };
    const listeners = [...static_resources.listeners, { ...answeringListener("added", port), address }];
    return { ...bootstrap, static_resources: { ...static_resources, listeners } };
  };

rigTest("a bootstrap that is refused, one that fails at run time, then a good one", async ({ expect, keep }) => {
  const rig = await RestartRig.start({}, keep);
  await rig.keeps();
  const load = await rig.load();
  const ready = pollOf(rig.ports.readiness, "/healthz/ready");
  const good = rig.bootstrap();
  const before = await rig.untilAlone();

  rig.rewrite((bootstrap) => ({ ...bootstrap, stats_flush_interval: "never" }));
  const refused = await rig.command("--wait");
  expect(refused.code).toBe(1);
  expect(refused.said).toMatch(/^pilotfish: cannot replace Envoy: refused: Envoy refuses it: .*stats_flush_interval/);
  expect(await rig.envoys()).toHaveLength(1);
  expect((await rig.untilAlone()).pid).toBe(before.pid);
  expect(rig.proxy.output).not.toMatch(/Hot restart begins/);

  rig.rewrite(() => withListenerAt(NOT_OURS, rig.ports.app)(good));
  const failed = await rig.command("--wait");
  expect(failed.code).toBe(1);
  expect(failed.said).toMatch(/^pilotfish: cannot replace Envoy: failed: the new Envoy ended before it was live/);
  expect((await rig.untilAlone()).pid).toBe(before.pid);

  rig.rewrite(() => good);
  expect((await rig.restart()).said).toMatch(/^hot restart done: epoch 1 serves/);

  const report = await load.stop();
  expect(avoidable(report), String(report)).toEqual([]);
  expect((await ready.stop()).bad).toEqual([]);
  expect((await rig.history()).map(({ outcome }) => outcome.split(":")[0])).toEqual(["restarted", "failed", "refused"]);
  expect(await rig.ends()).toEqual({ code: 0, signal: null });
});

rigTest("1.40 becomes 1.39 as soon as it is there, and 1.40 again on request", async ({ expect, keep }) => {
  const binary = new Binary(envoy);
  keep(binary);
  const rig = await RestartRig.start({ args: ["--watch", "binary"], env: { PILOTFISH_ENVOY: binary.path } }, keep);
  const version = async (): Promise<string> => {
    const info = JSON.parse((await ask({ port: rig.ports.admin }, "/server_info")).body) as { version: string };
    return info.version.split("/")[1] ?? "";
  };
  const newer = await version();
  await rig.proxy.said(/Watching what Envoy is started with/);
  await rig.keeps();
  const load = await rig.load();

  binary.become(previousEnvoy);
  await eventually("a restart by the watch", async () => (await rig.history()).length === 1);
  expect((await rig.untilAlone()).epoch).toBe(1);
  expect((await rig.history())[0]).toMatchObject({ cause: "changed: binary", outcome: "restarted", by: "hot-restart" });
  expect(await version()).not.toBe(newer);

  binary.become(envoy);
  expect((await rig.restart()).said).toMatch(/^hot restart done/);
  expect(await version()).toBe(newer);

  const report = await load.stop();
  expect(avoidable(report), String(report)).toEqual([]);
  expect(await rig.ends()).toEqual({ code: 0, signal: null });
});

rigTest("five SIGHUPs within a restart make exactly one more; readiness stays 200", async ({ expect, keep }) => {
  const rig = await RestartRig.start({}, keep);
  const ready = pollOf(rig.ports.readiness, "/healthz/ready");
  rig.proxy.signal("SIGHUP");
  await rig.proxy.said(/Hot restart begins/);
  const heard = () => [...rig.proxy.output.matchAll(/SIGHUP/g)].length;
  for (let n = 0; n < 5; n++) {
    const before = heard();
    rig.proxy.signal("SIGHUP");
    // Two signals of the same kind that are both pending are one to the kernel.
    await eventually("it was heard", () => heard() > before);
  }
  await eventually("the second one", async () => (await rig.history()).length === 2);
  expect((await rig.untilAlone()).epoch).toBe(2);
  expect(await rig.history()).toMatchObject([
    { outcome: "restarted", by: "hot-restart", epoch: 2 },
    { outcome: "restarted", by: "hot-restart", epoch: 1 },
  ]);
  const { looks, bad } = await ready.stop();
  expect(bad).toEqual([]);
  expect(looks).toBeGreaterThan(50);
  expect(await rig.ends()).toEqual({ code: 0, signal: null });
  expect([...rig.proxy.output.matchAll(/Envoy started/g)]).toHaveLength(3);
});
