import type { AgentConfig, JsonObject } from "../config/agent-config.ts";
import { InternalError } from "../foundation/errors.ts";
import { Problems } from "../foundation/problems.ts";
import { type BootstrapFacts, bootstrapFacts } from "./bootstrap-facts.ts";
import { bootstrapText } from "./bootstrap-text.ts";
import { field, merged } from "./proto-json.ts";
import { type TemplateValues, templateValues } from "./template-values.ts";
import {
  type BootstrapFiles,
  GO_TEMPLATE,
  hostIpReplaced,
  isGoTemplate,
  readUserDocument,
  type UserDocument,
} from "./user-files.ts";

export type { Address, BootstrapFacts, StaticListener } from "./bootstrap-facts.ts";
export type { BootstrapFiles } from "./user-files.ts";

/** What Envoy is started with, and what we know about it. */
export interface RenderedBootstrap {
  /** The whole bootstrap. */
  readonly text: string;
  /** Envoy tells them apart by the file's extension. */
  readonly format: "json" | "yaml";
  /** The user's own file, when it is used exactly as it is: nothing has to be written. */
  readonly usedAsItIs: string | undefined;
  /** For `--config-yaml`: Envoy merges it over the bootstrap. */
  readonly override: string | undefined;
  /** Of the bootstrap with the override merged in. */
  readonly facts: BootstrapFacts;
  /** Sentences for the log: what the user should know about this bootstrap. */
  readonly notices: readonly string[];
}

/**
 * The bootstrap of this configuration (features.md BOOT-1 to BOOT-16). Nothing outside is touched: the files' texts
 * come in. InvalidConfig with everything that is wrong in them.
 */
export async function renderBootstrap(config: AgentConfig, files: BootstrapFiles): Promise<RenderedBootstrap> {
  const problems = new Problems();
  const override = await readOverride(config, files.override, problems);
  const base = await (config.bootstrap.kind === "custom"
    ? custom(config, files, override, problems)
    : rendered(config, files, override, problems));
  problems.throwIfAny("cannot make Envoy's bootstrap");
  if (base === undefined) throw new InternalError("a bootstrap without a problem and without a document");
  const { document, usedAsItIs } = base;
  const effective = override === undefined ? document.value : merged(document.value, override.value);
  const facts = bootstrapFacts(effective, config.ports);
  return {
    text: document.text,
    format: document.format,
    usedAsItIs,
    override: override?.text,
    facts,
    notices: notices(config, files, facts),
  };
}

interface Base {
  readonly document: UserDocument;
  readonly usedAsItIs: string | undefined;
}

function readOverride(
  config: AgentConfig,
  text: string | undefined,
  problems: Problems,
): Promise<UserDocument | undefined> {
  if (text === undefined) return Promise.resolve(undefined);
  const name = `ISTIO_BOOTSTRAP_OVERRIDE ${config.bootstrap.overridePath ?? ""}`.trim();
  return readUserDocument(name, text, problems, { string: hostIpReplaced(config, name, problems) });
}

/** The user's file; only a missing admin is added, on loopback, because readiness, drain and status live by it. */
async function custom(
  config: AgentConfig,
  files: BootstrapFiles,
  override: UserDocument | undefined,
  problems: Problems,
): Promise<Base | undefined> {
  const file = config.bootstrap.path ?? "the configuration file";
  const hasAdmin = (value: JsonObject): boolean =>
    field(value, "admin") !== undefined || field(override?.value, "admin") !== undefined;
  const text = files.custom ?? "";
  if (/\.pb(?:_text)?$/.test(file)) {
    problems.add(file, "it is protobuf, which pilotfish does not read; give the configuration as YAML or JSON");
    return undefined;
  }
  const document = await readUserDocument(file, text, problems, {
    add: (value) => (hasAdmin(value) ? {} : { admin: loopbackAdmin(config) }),
  });
  if (document === undefined) return undefined;
  // Envoy reads a file as JSON unless its name says YAML: under another name, YAML needs a copy.
  const asItIs = document.text === text && (document.format === "json" || /\.ya?ml$/i.test(file));
  return { document, usedAsItIs: asItIs ? config.bootstrap.path : undefined };
}

const loopbackAdmin = (config: AgentConfig): JsonObject => ({
  address: {
    socket_address: {
      address: config.envoy.families === "v6" ? "::1" : "127.0.0.1",
      port_value: config.ports.admin,
    },
  },
});

async function rendered(
  config: AgentConfig,
  files: BootstrapFiles,
  override: UserDocument | undefined,
  problems: Problems,
): Promise<Base | undefined> {
  const values = templateValues(config, { override: override?.value, resolved: files.resolved ?? new Map() }, problems);
  const template = await readTemplate(config, files.template, problems);
  if (problems.all.length > 0) return undefined;
  const value = await render(values, template);
  const complete = field(value, "admin") === undefined ? { ...value, admin: loopbackAdmin(config) } : value;
  return { document: { value: complete, text: bootstrapText(complete), format: "json" }, usedAsItIs: undefined };
}

interface NamedTemplate {
  readonly path: string;
  readonly template: JsonObject;
}

async function readTemplate(
  config: AgentConfig,
  text: string | undefined,
  problems: Problems,
): Promise<NamedTemplate | undefined> {
  if (text === undefined) return undefined;
  const name = config.bootstrap.path ?? "the bootstrap template";
  if (isGoTemplate(text)) {
    problems.add(name, GO_TEMPLATE);
    return undefined;
  }
  const document = await readUserDocument(name, text, problems);
  return document === undefined ? undefined : { path: name, template: document.value };
}

/** Loaded when there is something to render: a custom file needs neither the language nor our templates. */
async function render(values: TemplateValues, template: NamedTemplate | undefined): Promise<JsonObject> {
  const { renderBuiltIn, renderUserTemplate } = await import("./render-template.ts");
  return template === undefined ? renderBuiltIn(values) : renderUserTemplate(values, template);
}

function notices(config: AgentConfig, files: BootstrapFiles, facts: BootstrapFacts): readonly string[] {
  const { ports, bootstrap, proxy } = config;
  const file = bootstrap.path ?? "the built-in template";
  const found: string[] = [];
  if (!facts.hasReadinessListener && ports.readiness > 0) {
    const status =
      ports.status === undefined ? "nothing answers readiness" : `only port ${ports.status} answers readiness`;
    found.push(`${file} has no listener on port ${ports.readiness}: ${status}`);
  }
  if (ports.status === undefined && ports.secureMergedMetrics > 0) {
    found.push(
      `the listener for merged metrics on port ${ports.secureMergedMetrics} is left out: the status port is off`,
    );
  }
  const statsd = proxy.statsdUdpAddress;
  const builtIn = bootstrap.kind === "template" && files.template === undefined;
  if (builtIn && statsd !== undefined && !facts.stats.sinks.includes("envoy.stat_sinks.statsd")) {
    found.push(`no statistics go to "${statsd}": its name could not be looked up`);
  }
  if (!facts.stats.countsConnections) {
    found.push(`${file} leaves out Envoy's counts of connections: the drain can't tell when nobody is left`);
  }
  if (facts.adminIsOpen) {
    found.push(`${file} has the admin on more than loopback: whoever reaches it can stop Envoy`);
  }
  if (facts.admin === undefined) {
    found.push(`${file} has an admin without an address: readiness and drain can't ask Envoy`);
  }
  return found;
}
