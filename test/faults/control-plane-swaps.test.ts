import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { requestCertificate } from "../../src/identity/ca-client.ts";
import { makePrivateKey } from "../../src/identity/private-key.ts";
import { signingRequest } from "../../src/identity/signing-request.ts";
import { realClock } from "../../src/system/clock.ts";
import { load, type Whole, whole } from "../control-plane/whole.ts";
import { eventually } from "../helpers/eventually.ts";
import { identity, type World, world } from "../identity/harness.ts";

/** Files as the kubelet mounts them: plain names are links through ..data, which is turned by one rename. */
class Mount {
  readonly path: string;
  #generation = 0;

  constructor(path: string) {
    this.path = path;
    mkdirSync(path, { recursive: true });
  }

  swap(files: Readonly<Record<string, string>>): void {
    const [old, fresh] = [`..${this.#generation}`, `..${++this.#generation}`];
    mkdirSync(join(this.path, fresh));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.path, fresh, name), text);
    symlinkSync(fresh, join(this.path, "..data_tmp"));
    renameSync(join(this.path, "..data_tmp"), join(this.path, "..data"));
    for (const name of Object.keys(files))
      if (!readdirSync(this.path).includes(name)) symlinkSync(`..data/${name}`, join(this.path, name));
    rmSync(join(this.path, old), { recursive: true, force: true });
  }
}

describe("the token", () => {
  let w: World;
  beforeEach(async () => {
    w = await world();
  });
  afterEach(() => w.done());

  test("is swapped 50 times, and each call carries the one of its time", async () => {
    const mount = new Mount(w.path("tokens"));
    const accepted = w.path("accepted");
    const strict = await world({ tokenFile: accepted });
    try {
      const config = w.config({
        tokenPath: join(mount.path, "istio-token"),
        ca: { ...w.config().ca, port: strict.plane.tlsPort ?? 0, roots: [strict.path("run/root-cert.pem")] },
      });
      const key = await makePrivateKey({ type: "ecdsa", curve: "P256" }, true);
      for (let n = 0; n < 50; n++) {
        mount.swap({ "istio-token": `token-${n}` });
        writeFileSync(accepted, `token-${n}`);
        expect(await requestCertificate(config, signingRequest(key, identity), realClock)).toMatchObject({ ok: true });
      }
    } finally {
      await strict.done();
    }
  });
});

describe("the root", () => {
  let w: Whole;
  beforeEach(async () => {
    w = await whole();
  });
  afterEach(() => w.done());

  test("old, both, new: connections are kept and no request fails", async () => {
    const { plane } = w.world;
    plane.setFaults({ lifetime: 12_000 });
    const run = w.start();
    await eventually("ready", async () => (await w.ready()).status === 200);
    const client = await w.client();
    let done = false;
    const loading = load(w.ports.listener, client, () => done);
    const write = (): void => {
      run.write("var/run/secrets/istio/root-cert.pem", plane.rootCertificate());
      w.world.writeRoot(plane.rootCertificate());
    };
    /** Both workloads have asked twice: what was announced before has arrived everywhere. */
    const bothRotated = async (what: string): Promise<void> => {
      const before = plane.status().issued;
      await eventually(what, () => plane.status().issued >= before + 4, 90_000);
    };
    plane.announceNextRoot();
    write();
    await bothRotated("both roots are known everywhere");
    plane.replaceAuthority();
    write();
    await bothRotated("everybody's certificate is the new root's");
    plane.forgetFormerRoots();
    write();
    await bothRotated("the new root alone");
    done = true;
    const { sent, failures } = await loading;
    expect(failures).toEqual([]);
    expect(sent).toBeGreaterThan(100);
    expect((await w.ready()).status).toBe(200);
    expect(client.roots()?.includes(plane.rootCertificate().trim())).toBe(true);
  });
});
