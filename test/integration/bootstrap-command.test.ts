import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Finished, runProgram } from "../../src/system/programs.ts";
import { envoy, pilotfish, root, temporaryFolder } from "../helpers/paths.ts";

/** The built program, called as an operator calls it. */
describe("pilotfish bootstrap", () => {
  const folder = temporaryFolder("command");
  const pod = { POD_NAME: "web-1", POD_NAMESPACE: "shop", INSTANCE_IP: "10.0.0.1", PILOTFISH_ENVOY: envoy };

  const run = (words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Finished> =>
    runProgram(pilotfish, ["bootstrap", ...words], {
      environment: new Map(Object.entries({ PATH: process.env["PATH"] ?? "", TMPDIR: folder.path, ...pod, ...env })),
      timeout: 60_000,
    });
  const file = (name: string, text: string): string => {
    const path = join(folder.path, name);
    writeFileSync(path, text);
    return path;
  };
  afterAll(() => folder.done());

  test("prints what the golden of the seed's command line says", async () => {
    const golden = join(root, "test/golden/bootstrap/seed-command-line");
    const { args, env } = JSON.parse(readFileSync(join(golden, "input.json"), "utf8")) as {
      readonly args: readonly string[];
      readonly env: Readonly<Record<string, string>>;
    };
    const { exit, stdout, stderr } = await run(args.slice(1), env);
    expect({ exit, stderr: stderr.includes("error") }).toEqual({ exit: { how: "exited", code: 0 }, stderr: false });
    const [printed, expected] = [stdout, readFileSync(join(golden, "expected.json"), "utf8")].map(
      (text) => JSON.parse(text) as Readonly<Record<string, unknown>> & { readonly node: { readonly id: string } },
    );
    expect(printed?.node.id).toBe(expected?.node.id);
    // The golden also has the pod's labels, which come from files that are not here.
    for (const part of Object.keys(expected ?? {}).filter((name) => name !== "node")) {
      expect(printed?.[part]).toEqual(expected?.[part]);
    }
  });

  test("--validate: Envoy accepts it; nothing is printed but its words, nothing is left behind", async () => {
    const { exit, stdout } = await run(["--validate"]);
    expect(exit).toEqual({ how: "exited", code: 0 });
    expect(stdout).not.toContain("static_resources");
    expect(readdirSync(folder.path).filter((name) => name.startsWith("pilotfish-"))).toEqual([]);
  });

  test("--validate: Envoy refuses it: 64 and its words", async () => {
    const path = file("bad.json", '{"admin": {"address": {}}, "static_resources": {"clusters": [{"name": ""}]}}');
    const { exit, stdout, stderr } = await run(["--validate", "--customConfigFile", path]);
    expect(exit).toEqual({ how: "exited", code: 64 });
    expect(stdout + stderr).toMatch(/Cluster|Address/);
  });

  test("--validate without an Envoy: 69", async () => {
    const { exit, stderr } = await run(["--validate"], { PILOTFISH_ENVOY: "/no/envoy" });
    expect(exit).toEqual({ how: "exited", code: 69 });
    expect(stderr).toMatch(/cannot start Envoy: "\/no\/envoy": no such file or directory/);
  });

  test("a token is not printed unless it is asked for", async () => {
    const flags = ["--lightstepAddress", "c.example:443", "--lightstepAccessToken", 'to%k"en'];
    const hidden = await run(flags);
    expect(hidden.stdout).toContain('"[redacted]"');
    expect(hidden.stdout + hidden.stderr).not.toMatch(/to%+k/);
    const shown = await run([...flags, "--show-secrets"]);
    expect(shown.stdout).toContain('"value": "to%%k\\"en"');
  });

  test("files that can't be used: 64, all of them named", async () => {
    const overridePath = file("override.yaml", "a: $(HOST_IP)\n");
    const path = file("template.json", "{{ .nodeID }}");
    const { exit, stderr, stdout } = await run(["--templateFile", path], { ISTIO_BOOTSTRAP_OVERRIDE: overridePath });
    expect({ exit, stdout }).toEqual({ exit: { how: "exited", code: 64 }, stdout: "" });
    expect(stderr).toContain(`${path}: it is a Go template`);
    expect(stderr).toContain("HOST_IP is not set");
  });

  test("a file that is not there: 64", async () => {
    const { exit, stderr } = await run([], { ISTIO_BOOTSTRAP: "/no/template.json" });
    expect(exit).toEqual({ how: "exited", code: 64 });
    expect(stderr).toContain("/no/template.json: there is no such file");
  });

  test("the manual sidecar, its words glued: printed as it is, with a note", async () => {
    const text = "# mine\nadmin:\n  address: {socket_address: {address: 127.0.0.1, port_value: 9901}}\n";
    const path = file("envoy.yaml", text);
    const { exit, stdout, stderr } = await run([`-c ${path}`, "--service-cluster", "c", "--service-node", "n"]);
    expect({ exit, stdout }).toEqual({ exit: { how: "exited", code: 0 }, stdout: text });
    expect(stderr).toContain(`${path} has no listener on port 15021: only port 15020 answers readiness`);
  });
});
