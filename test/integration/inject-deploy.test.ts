import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import type { Problem } from "../../src/foundation/errors.ts";
import { injectDocument } from "../../src/inject/inject-document.ts";
import { readInjectorConfig } from "../../src/inject/injector-config-reader.ts";
import { isObject, type Json, type JsonObject, objectOr, objectsOf, textOf } from "../../src/inject/json-value.ts";
import { objectionsTo } from "../helpers/kubernetes-schema.ts";
import { pilotfish, root, temporaryFolder } from "../helpers/paths.ts";

/**
 * What deploy/ says is rendered by the real kustomize and helm, built once from their sources (test/helpers/deploy-tools
 * pins them), and judged by Kubernetes' schemas. Without a Go compiler the files are judged as they are.
 */
const tools = join(root, ".cache/deploy-tools");
const hasGo = spawnSync("go", ["version"]).status === 0;
const folder = temporaryFolder("deploy");
const deploy = join(folder.path, "deploy");

function build(name: string, from: string): void {
  const cwd = join(root, "test/helpers/deploy-tools");
  const stamp = `${tools}/${name}-${execFileSync(
    "go",
    ["list", "-m", "-f", "{{.Version}}", from.split("/cmd/")[0] ?? ""],
    { cwd },
  )
    .toString()
    .trim()}`;
  if (!existsSync(stamp)) {
    // Whole then renamed: another run beside this one starts the old program or the new one.
    execFileSync("go", ["build", "-o", `${stamp}.${process.pid}`, from], { cwd, stdio: ["ignore", "ignore", "pipe"] });
    renameSync(`${stamp}.${process.pid}`, stamp);
  }
  built.set(name, stamp);
}
const built = new Map<string, string>();

beforeAll(() => {
  cpSync(join(root, "deploy"), deploy, { recursive: true });
  mkdirSync(tools, { recursive: true });
  if (!hasGo) return;
  build("kustomize", "sigs.k8s.io/kustomize/kustomize/v5");
  build("helm", "helm.sh/helm/v3/cmd/helm");
}, 600_000);
afterAll(folder.done);

const render = (tool: string, ...words: string[]): readonly JsonObject[] =>
  documentsIn(
    execFileSync(built.get(tool) ?? tool, words, {
      cwd: deploy,
      maxBuffer: 2 ** 26,
      stdio: ["ignore", "pipe", "pipe"],
    }).toString(),
  );
const documentsIn = (text: string): readonly JsonObject[] =>
  [...parseAllDocuments(text, { merge: true })].map((one) => one.toJS() as Json).filter(isObject);
const helm = (...sets: string[]): readonly JsonObject[] =>
  render(
    "helm",
    "template",
    "pilotfish",
    "helm/pilotfish-webhook",
    "-n",
    "pilotfish-system",
    "--kube-version",
    "1.32.0",
    ...sets,
  );
const named = (documents: readonly JsonObject[], kind: string): JsonObject =>
  objectOr(documents.find((one) => one["kind"] === kind));
const name = (one: JsonObject): string => `${textOf(one["kind"])} ${textOf(objectOr(one["metadata"])["name"])}`;
const foreign = (one: JsonObject): boolean => ["Issuer", "Certificate"].includes(textOf(one["kind"]) ?? "");

/** kustomize breaks base64 into lines, which the API server reads and the schema's format does not. */
const unbroken = (document: JsonObject): JsonObject =>
  JSON.parse(
    JSON.stringify(document).replace(/"(?:caBundle|[a-z]+\.(?:crt|key))":"[^"]*"/g, (one) => one.replaceAll("\\n", "")),
  ) as JsonObject;

async function judge(documents: readonly JsonObject[]): Promise<void> {
  expect(documents.length).toBeGreaterThan(0);
  for (const document of documents.filter((one) => !foreign(one))) {
    expect({ [name(document)]: await objectionsTo(unbroken(document)) }).toEqual({ [name(document)]: [] });
  }
}

describe("files that are applied as they are", () => {
  const plain = [
    "gateway/gateway.yaml",
    "pod/hand-made-sidecar.yaml",
    ...readdirSync(join(root, "deploy/kustomize/base")).map((one) => `kustomize/base/${one}`),
  ];
  test.each(plain.filter((one) => one.endsWith(".yaml") && !/kustomization|injector\.yaml/.test(one)))(
    "%s",
    async (file) => {
      await judge(documentsIn(readFileSync(join(root, "deploy", file), "utf8")));
    },
  );

  test("the gateway, injected, is a proxy alone", async () => {
    const problems: Problem[] = [];
    const config = readInjectorConfig({}, "1", problems);
    const documents = documentsIn(readFileSync(join(root, "deploy/gateway/gateway.yaml"), "utf8")).map(
      (one) => injectDocument(one, { namespace: "edge", mode: undefined }, config).document,
    );
    await judge(documents);
    const template = objectOr(objectOr(named(documents, "Deployment")["spec"])["template"]);
    const [proxy, ...others] = objectsOf(objectOr(template["spec"])["containers"]);
    expect(others).toEqual([]);
    expect(proxy?.["args"]).toEqual(expect.arrayContaining(["proxy", "router"]));
    expect(proxy?.["image"]).toBe("pilotfish/proxy:1");
  });

  test("the webhook's own pods are never injected, and it may do nothing", () => {
    const text = readdirSync(join(root, "deploy/kustomize/base"))
      .map((one) => readFileSync(join(root, "deploy/kustomize/base", one), "utf8"))
      .join("\n");
    expect(text).not.toMatch(/kind: (Cluster)?Role/);
    expect(text.match(/automountServiceAccountToken: false/g)).toHaveLength(2);
  });

  test("the units of a machine are ones that systemd takes", () => {
    const verify = spawnSync("systemd-analyze", ["--version"]);
    const units = ["pilotfish.service", "pilotfish-capture.service"].map((unit) => {
      const text = readFileSync(join(root, "deploy/vm", unit), "utf8").replaceAll(
        "/usr/local/bin/pilotfish",
        pilotfish,
      );
      const path = join(folder.path, unit);
      writeFileSync(path, text);
      return path;
    });
    for (const unit of units)
      expect(readFileSync(unit, "utf8")).toMatch(/^\[Unit\]\n[\s\S]*^\[Service\]\n[\s\S]*^\[Install\]\n/m);
    if (verify.status !== 0) return;
    const { stderr } = spawnSync("systemd-analyze", ["verify", ...units], { encoding: "utf8" });
    expect(stderr.split("\n").filter((line) => line.includes("pilotfish"))).toEqual([]);
  });
});

describe.skipIf(!hasGo)("rendered by the real tools (without a Go compiler they cannot be built)", () => {
  test("kustomize: the base", async () => {
    await judge(render("kustomize", "build", "kustomize/base"));
  });

  test("kustomize: with our own certificate the CA reaches every entry", async () => {
    const certificate = join(deploy, "kustomize/own-certificate/certificate");
    execFileSync(pilotfish, ["webhook", "--makeCertificate", certificate]);
    const documents = render("kustomize", "build", "kustomize/own-certificate");
    await judge(documents);
    const ca = readFileSync(join(certificate, "ca.crt")).toString("base64");
    const entries = objectsOf(named(documents, "MutatingWebhookConfiguration")["webhooks"]);
    expect(entries.map((one) => (textOf(objectOr(one["clientConfig"])["caBundle"]) ?? "").replace(/\s/g, ""))).toEqual([
      ca,
      ca,
    ]);
  });

  test("kustomize: cert-manager, and Istio's namespace label where no istiod injects", async () => {
    await judge(render("kustomize", "build", "kustomize/cert-manager"));
    mkdirSync(join(deploy, "kustomize/mine"));
    writeFileSync(
      join(deploy, "kustomize/mine/kustomization.yaml"),
      "resources: [../base]\ncomponents: [../honour-istio-injection]\n",
    );
    const documents = render("kustomize", "build", "kustomize/mine");
    await judge(documents);
    expect(objectsOf(named(documents, "MutatingWebhookConfiguration")["webhooks"])).toHaveLength(3);
    expect(JSON.stringify(render("kustomize", "build", "kustomize/base"))).not.toContain("istio-injection");
  });

  test.each([
    ["generated", []],
    ["cert-manager", ["--set", "honourIstioInjection=true"]],
    [
      "secret",
      [
        "--set",
        "certificate.caBundle=QQ==",
        "--set",
        "injector.mode=classic",
        "--set",
        "nodeSelector.a=b",
        "--set",
        "imagePullSecrets={r}",
        "--set",
        "priorityClassName=p",
      ],
    ],
  ])("helm: certificate.from=%s", async (from, sets) => {
    await judge(helm("--set", `certificate.from=${from}`, ...sets));
  });

  test("helm refuses what its schema does not know", () => {
    expect(() => helm("--set", "replica=3")).toThrow();
    expect(() => helm("--set", "certificate.from=secret")).toThrow("certificate.caBundle is needed");
  });

  test("both say the same", () => {
    const order = (documents: readonly JsonObject[]): Json =>
      [...documents]
        .filter((one) => !["Namespace", "Secret", "ConfigMap"].includes(textOf(one["kind"]) ?? ""))
        .sort((left, right) => (name(left) < name(right) ? -1 : 1)) as unknown as Json;
    const bundle = { certificate: "QQ==" };
    const rendered = helm("--set", "certificate.from=secret", "--set", `certificate.caBundle=${bundle.certificate}`);
    const text = JSON.stringify(order(rendered)).replaceAll(`,"caBundle":"${bundle.certificate}"`, "");
    expect(JSON.parse(text)).toEqual(order(render("kustomize", "build", "kustomize/base")));
    const settings = (documents: readonly JsonObject[]): unknown =>
      documentsIn(textOf(objectOr(named(documents, "ConfigMap")["data"])["injector.yaml"]) ?? "");
    expect(settings(rendered)).toEqual(settings(render("kustomize", "build", "kustomize/base")));
  });
});
