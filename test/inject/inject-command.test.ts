import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { commands } from "../../src/cli/commands.ts";
import { runProgram } from "../../src/cli/main.ts";
import { textDifference } from "../../src/inject/text-difference.ts";
import { temporaryFolder } from "../helpers/paths.ts";
import { folder as goldens } from "./golden-cases.ts";

const folder = temporaryFolder("inject");
afterAll(folder.done);

const file = (name: string, text: string): string => {
  const path = join(folder.path, name);
  writeFileSync(path, text);
  return path;
};

const pod = `kind: Pod # mine
apiVersion: v1
metadata: {name: app}
spec:
  containers:
  - name: app
    image: app:1
`;

async function call(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const code = await runProgram(
    {
      words: ["inject", ...words],
      env: new Map(),
      out: (text) => {
        out += text;
      },
      err: (text) => {
        err += text;
      },
      defaultSignals: () => undefined,
    },
    commands,
  );
  return { code, out, err };
}

describe("pilotfish inject", () => {
  test("YAML in, YAML out, and --remove gives the text back", async () => {
    const plain = file("pod.yaml", pod);
    const injected = await call("-f", plain);
    expect(injected).toMatchObject({ code: 0, err: "" });
    expect(injected.out).toContain("kind: Pod # mine");
    const back = await call("--remove", "-f", file("injected.yaml", injected.out));
    expect(parse(back.out)).toEqual(parse(pod));
  });

  test("JSON in, JSON out", async () => {
    const injected = await call("-f", file("pod.json", JSON.stringify(parse(pod))), "--classic");
    const document = JSON.parse(injected.out) as { spec: { containers: { name: string }[] } };
    expect(document.spec.containers.map((one) => one.name)).toEqual(["app", "istio-proxy"]);
  });

  test("several files become one, written whole with -o", async () => {
    const output = join(folder.path, "all.yaml");
    const paths = [file("a.yaml", pod), file("b.yaml", "kind: Service\napiVersion: v1\n")];
    expect(await call(...paths.flatMap((path) => ["-f", path]), "-o", output)).toEqual({ code: 0, out: "", err: "" });
    const text = readFileSync(output, "utf8");
    expect(text.match(/^---$/gm)).toHaveLength(1);
    expect(text).toContain("kind: Service");
  });

  test("flags beat the pod's annotation, and the file beats the default", async () => {
    const annotated = pod.replace("{name: app}", `{name: app, annotations: {sidecar.istio.io/nativeSidecar: "false"}}`);
    const path = file("annotated.yaml", annotated);
    expect((await call("-f", path)).out).not.toContain("restartPolicy: Always");
    expect((await call("-f", path, "--native")).out).toContain("restartPolicy: Always");
    const config = file("config.yaml", "mode: classic\nimage: mine:1\n");
    const out = (await call("-f", file("p.yaml", pod), "--config", config, "--set", "image=yours:2")).out;
    expect(out).not.toContain("restartPolicy: Always");
    expect(out).toContain("image: yours:2");
  });

  test("--set reads YAML and deep names", async () => {
    const out = (await call("-f", file("s.yaml", pod), "--set", "proxy.logLevel=debug", "--set", "ports.status=16020"))
      .out;
    expect(out).toContain("--proxyLogLevel=debug");
    expect(out).toContain("--debug-port=16020");
  });

  test("every problem at once, with file and line, exit code 64", async () => {
    const bad = file(
      "bad.yaml",
      `${pod}---\nkind: Pod\nmetadata:\n  annotations:\n    sidecar.istio.io/proxyCPU: lots\nspec: {containers: [{name: 3}]}\n`,
    );
    const config = file("bad-config.yaml", "mode: native\nports:\n  status: no\nimages: x\n");
    const one = await call("-f", bad);
    expect(one).toMatchObject({ code: 64, out: "" });
    expect(one.err).toContain(`${bad}:13 /spec/containers/0/name: it needs a name`);
    const two = await call("-f", bad, "-f", "/nowhere.yaml", "--config", config, "--set", "x", "--native", "--classic");
    expect(two.code).toBe(64);
    expect(two.err).toContain(`${config}:3 ports.status: "no" is not a whole number from 1 to 65535`);
    expect(two.err).toContain(`${config}:4 images: there is no such setting here`);
    expect(two.err).toContain("--set x: write it as name=value");
    expect(two.err).toContain("--classic: it cannot be used together with --native");
    expect(two.err).toContain("/nowhere.yaml: there is no such file");
    const broken = await call("-f", file("broken.yaml", "a: [1\nb: 2\n"));
    expect(broken.code).toBe(64);
    expect(broken.err).toMatch(/broken\.yaml:2: /);
  });

  test("no file is an error that says so", async () => {
    const { code, err } = await call();
    expect(code).toBe(64);
    expect(err).toContain("no file was given");
  });

  test("--diff shows only what changes", async () => {
    const { out } = await call("--diff", "-f", file("d.yaml", pod));
    expect(out).toContain("@@ ");
    expect(out.split("\n").filter((line) => line.startsWith("-") && !line.startsWith("---"))).toEqual([
      "-metadata: {name: app}",
    ]);
    expect(out).toContain("+  initContainers:");
  });

  test("--explain has a reason for every addition", async () => {
    const { out } = await call("--explain", "-f", join(goldens, "seed-productpage/pod.yaml"));
    expect(out).toMatch(/^Deployment productpage-v1\n/);
    expect(out).toContain("spec/initContainers/istio-init\n      lays the capture rules");
    expect(out).not.toContain("set by an overlay");
  });

  test("a pod that is left alone is said so", async () => {
    const { code, out, err } = await call("-f", join(goldens, "host-network/pod.yaml"));
    expect(code).toBe(0);
    expect(out).toBe(readFileSync(join(goldens, "host-network/native.yaml"), "utf8"));
    expect(err).toContain("Pod node-agent is left alone: it uses the node's network");
  });
});

describe("the comparison of texts", () => {
  const sides = (text: string): readonly [string[], string[]] => {
    const lines = text
      .split("\n")
      .slice(2, -1)
      .filter((line) => !line.startsWith("@@"));
    const side = (not: string) => lines.filter((line) => !line.startsWith(not)).map((line) => line.slice(1));
    return [side("+"), side("-")];
  };

  test.each([
    ["a\nb\nc\n", "a\nx\nc\nd\n"],
    ["", "a\nb\n"],
    ["a\nb\n", ""],
    ["a\nb\na\nb\n", "b\na\nb\na\n"],
    ["1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\nx\n5\n6\n7\n9\n"],
  ])("%j to %j", (before, after) => {
    const text = textDifference([[before, after]], { name: "x", colour: false, context: 99 });
    const lines = (side: string) => (side === "" ? [""] : side.slice(0, -1).split("\n"));
    expect(sides(text)).toEqual([lines(before), lines(after)]);
  });

  test("in colour", () => {
    const text = textDifference([["a\n", "b\n"]], { name: "x", colour: true });
    expect(text).toContain("\u001b[31m-a\u001b[0m");
    expect(text).toContain("\u001b[32m+b\u001b[0m");
  });

  test("thousands of edits are shown as one", () => {
    const [left, right] = ["l", "r"].map((word) =>
      Array.from({ length: 3000 }, (_, index) => `${word}${index}\n`).join(""),
    );
    const text = textDifference([[left ?? "", right ?? ""]], { name: "x", colour: false });
    expect(text.split("\n").length).toBe(6004);
  });
});
