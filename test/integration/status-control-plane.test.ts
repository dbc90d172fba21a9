import { afterEach, beforeEach, expect, test } from "vitest";
import { type Whole, whole } from "../control-plane/whole.ts";
import { eventually } from "../helpers/eventually.ts";
import { ask } from "../helpers/proxy.ts";

let w: Whole;
beforeEach(async () => {
  w = await whole();
});
afterEach(() => w.done());

const status = async () => (await ask({ port: w.ports.status }, "/status")).body;

test("the page tells of the certificate and of every type that the control plane sent", async () => {
  w.start();
  await eventually("ready", async () => (await w.ready()).status === 200);
  const page = await status();
  expect(page).toMatch(/\nCertificate\n\+ state +valid\n +identity +spiffe:\/\/cluster\.local\/ns\/ns\/sa\/server\n/);
  expect(page).toMatch(/\n {2}next one in +\d/);
  expect(page).toMatch(/\n\+ reachable +yes\n/);
  expect(page).toMatch(/\n {2}\d+ +delta, open +[\d.]+ m?s +CDS +\d/);
  expect(page).toMatch(/ LDS +\d/);
  expect(page).not.toMatch(/BEGIN|PRIVATE|eyJ/);
});

test("a refusal by the authority is the reason, on the page, too", async () => {
  w.world.plane.setFaults({ refuse: { calls: "ca", code: 7, text: "not in this mesh" } });
  w.start();
  await eventually("the reason is there", async () =>
    /\nCertificate\n~ state +waiting\n +because .*not in this mesh/.test(await status()),
  );
});

test("a control plane that goes away is shown, and is a reason once it is away for longer than tolerated", async () => {
  w.start({ PILOTFISH_CONTROL_PLANE_TOLERANCE: "2s" });
  await eventually("ready", async () => (await w.ready()).status === 200);
  w.world.plane.setFaults({ refuse: { calls: "all", code: 14, text: "away" } });
  w.world.plane.disconnectAll();
  const verbose = async () => (await ask({ port: w.ports.status }, "/healthz/ready?verbose")).body;
  await eventually("it is shown while it is borne", async () =>
    /control-plane.*away for .*served from what was got, tolerated for 2s/.test(await verbose()),
  );
  await eventually("it is the reason", async () => {
    const { status: code, body } = await w.ready();
    return code === 503 && /control-plane: away for .*tolerated for 2s only/.test(body);
  });
  w.world.plane.setFaults({});
  await eventually("ready again", async () => (await w.ready()).status === 200);
});
