import type { AgentConfig } from "../config/agent-config.ts";
import { buildAgentConfig } from "../config/build-agent-config.ts";
import { ANNOTATION_CONFIG } from "../config/config-sources.ts";
import { type ReadStructured, readJson, type SourceText } from "../config/structured-text.ts";
import { describeError, type Problem } from "../foundation/errors.ts";
import { readText } from "../system/files.ts";
import { interfaceAddresses } from "../system/network.ts";
import type { ParsedFlags } from "./command.ts";
import { proxyOptions } from "./options/proxy-options.ts";

const POD_LABELS = "./etc/istio/pod/labels";
const POD_ANNOTATIONS = "./etc/istio/pod/annotations";
const MESH_FILE = "./etc/istio/config/mesh";

const meshFile = (flags: ParsedFlags): string => flags.values.get("meshConfig")?.at(-1) || MESH_FILE;

/** Files that loadAgentConfig reads, whether they are there or not: a change of them may be another configuration. */
export const configFiles = (flags: ParsedFlags): readonly string[] => [meshFile(flags), POD_ANNOTATIONS, POD_LABELS];

/**
 * The agent's whole configuration from flags, environment, the mesh file and the pod's files, for the commands that
 * need one (`proxy`, `bootstrap`). Throws InvalidConfig with every problem, those of the command line included.
 * A missing file is no problem: outside Kubernetes there are none.
 */
export async function loadAgentConfig(flags: ParsedFlags, env: ReadonlyMap<string, string>): Promise<AgentConfig> {
  const problems: Problem[] = [...(flags.problems ?? [])];
  const read = (path: string): SourceText | undefined => readSource(path, problems);
  const mesh = read(meshFile(flags));
  const annotations = read(POD_ANNOTATIONS);
  const input = {
    positionals: flags.positionals,
    rest: flags.rest ?? [],
    flags: flags.values,
    env,
    mesh,
    annotations,
    labels: read(POD_LABELS),
    addresses: interfaceAddresses(),
    read: await readerFor(mesh, annotations, env.get("PROXY_CONFIG")),
    notices: ignoredFlags(flags),
    problems,
  };
  return buildAgentConfig(input);
}

function readSource(path: string, problems: Problem[]): SourceText | undefined {
  try {
    const text = readText(path, 4 * 1024 * 1024);
    return text === undefined ? undefined : { path, text };
  } catch (error) {
    problems.push({ name: path, text: `it can't be read: ${describeError(error)}` });
    return undefined;
  }
}

/** Injection writes JSON: only a text that is none pays for loading the YAML package. */
async function readerFor(
  mesh: SourceText | undefined,
  annotations: SourceText | undefined,
  proxyConfig: string | undefined,
): Promise<ReadStructured> {
  const inAnnotation = annotations?.text.includes(`${ANNOTATION_CONFIG}=`) === true;
  const needsYaml = inAnnotation || [mesh?.text, proxyConfig].some((text) => text !== undefined && !readJson(text).ok);
  return needsYaml ? (await import("../config/yaml-reader.ts")).readYaml : readJson;
}

/** Flags that are accepted for the sake of old command lines: what the table says of them is worth a line in the log. */
function ignoredFlags(flags: ParsedFlags): readonly string[] {
  return proxyOptions
    .filter((option) => flags.values.has(option.name) && option.today?.startsWith("accepted and ignored") === true)
    .map((option) => `--${option.name}: ${option.today ?? ""}`);
}
