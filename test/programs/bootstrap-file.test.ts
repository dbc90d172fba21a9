import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readBootstrapFiles, removeBootstrap, writeBootstrap } from "../../src/bootstrap/bootstrap-file.ts";
import { type RenderedBootstrap, renderBootstrap } from "../../src/bootstrap/render-bootstrap.ts";
import { InvalidConfig } from "../../src/foundation/errors.ts";
import { runProgram } from "../../src/system/programs.ts";
import { configFixture } from "../bootstrap/config-fixture.ts";
import { root, temporaryFolder } from "../helpers/paths.ts";

const mode = (path: string): number => statSync(path).mode & 0o777;

describe("bootstrap files", () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let rendered: RenderedBootstrap;

  beforeEach(async () => {
    folder = temporaryFolder("bootstrap-file");
    rendered = await renderBootstrap(configFixture(), {});
  });
  afterEach(() => folder.done());

  test("one an epoch, whole, for our user alone, in a directory that is made", () => {
    const directory = join(folder.path, "etc/istio/proxy");
    const paths = [0, 1].map((epoch) => writeBootstrap(rendered, directory, epoch));
    expect(paths).toEqual([`${directory}/envoy-rev0.json`, `${directory}/envoy-rev1.json`]);
    expect(readdirSync(directory)).toEqual(["envoy-rev0.json", "envoy-rev1.json"]);
    for (const path of paths) expect([mode(path), readFileSync(path, "utf8")]).toEqual([0o600, rendered.text]);
    expect(mode(directory)).toBe(0o700);
    removeBootstrap(paths[0] ?? "");
    removeBootstrap(paths[0] ?? "");
    expect(readdirSync(directory)).toEqual(["envoy-rev1.json"]);
  });

  test("a directory that is there keeps its mode; an old file is replaced", () => {
    const directory = join(folder.path, "proxy");
    mkdirSync(directory, { mode: 0o755 });
    writeFileSync(join(directory, "envoy-rev0.json"), "old", { mode: 0o666 });
    const path = writeBootstrap(rendered, directory, 0);
    expect([mode(directory), mode(path), readFileSync(path, "utf8")]).toEqual([0o755, 0o600, rendered.text]);
  });

  test("a user's file that is used as it is, is not written again", () => {
    const own = { ...rendered, usedAsItIs: "/etc/envoy/envoy.yaml" };
    expect(writeBootstrap(own, join(folder.path, "nowhere"), 0)).toBe("/etc/envoy/envoy.yaml");
    expect(readdirSync(folder.path)).toEqual([]);
  });

  test("the extension tells Envoy the language", () => {
    expect(writeBootstrap({ ...rendered, format: "yaml" }, folder.path, 0)).toBe(`${folder.path}/envoy-rev0.yaml`);
  });

  test("a file in the place of the directory", () => {
    const path = join(folder.path, "file");
    writeFileSync(path, "");
    expect(() => writeBootstrap(rendered, path, 0)).toThrow(
      /^cannot write ".*\/file\/envoy-rev0\.json": .*; give a directory by --configPath that exists or can be made$/,
    );
  });

  test("files that can't be read are named, all of them", async () => {
    const bootstrap = { kind: "custom", path: `${folder.path}/no.yaml`, overridePath: folder.path } as const;
    const error: unknown = await readBootstrapFiles(configFixture({ bootstrap })).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(InvalidConfig);
    expect(String(error)).toContain(`${folder.path}/no.yaml: there is no such file`);
    expect(String(error)).toContain(`${folder.path}: cannot read it: it is a directory`);
  });

  test("template, custom file and override come in by their names", async () => {
    writeFileSync(join(folder.path, "a"), "one");
    writeFileSync(join(folder.path, "b"), "two");
    const [path, overridePath] = [join(folder.path, "a"), join(folder.path, "b")];
    const read = (kind: "custom" | "template") =>
      readBootstrapFiles(configFixture({ bootstrap: { kind, path, overridePath } }));
    expect(await read("custom")).toMatchObject({ custom: "one", override: "two" });
    expect(await read("template")).toMatchObject({ template: "one", override: "two" });
  });

  test("the statsd host is looked up; one that does not exist is left out", async () => {
    const of = async (statsdUdpAddress: string) =>
      (await readBootstrapFiles(configFixture({ proxy: { statsdUdpAddress } }))).resolved;
    expect(await of("localhost:8125")).toEqual(new Map([["localhost", "127.0.0.1"]]));
    expect(await of("10.0.0.1:8125")).toEqual(new Map());
    expect(await of("no-such-host.invalid:8125")).toEqual(new Map());
  });
});

/** File systems that only root can make, in a mount namespace of their own, which ends with the program. */
describe.runIf(process.geteuid?.() === 0)("a directory that can't be written", () => {
  const program = join(root, "test/programs/write-bootstrap-program.ts");

  const sayIn = async (mount: string, user = ""): Promise<string> => {
    const folder = temporaryFolder("bootstrap-mount");
    try {
      const script = `mount -t tmpfs -o ${mount} none "$1" && cd "$2" && exec ${user} "$3" "$4" "$1/proxy"`;
      const args = ["-m", "sh", "-c", script, "sh", folder.path, root, process.execPath, program];
      const { stdout, stderr } = await runProgram("unshare", args, { timeout: 60_000 });
      return stdout + stderr;
    } finally {
      folder.done();
    }
  };

  test("read-only", async () => {
    expect(await sayIn("ro")).toMatch(
      /^Unavailable: cannot write ".*": the file system is read-only \(EROFS\); mount a writable volume there /,
    );
  });

  test("full", async () => {
    expect(await sayIn("size=8k")).toMatch(
      /^Unavailable: cannot write ".*": no space left on the device \(ENOSPC\); make room on that volume/,
    );
  });

  test("another user's", async () => {
    expect(await sayIn("mode=755", "setpriv --reuid=65534 --clear-groups --")).toMatch(
      /^Unavailable: cannot write ".*": permission denied \(EACCES\); let the proxy's user write there/,
    );
  });
});
