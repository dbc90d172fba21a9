/** The parts of a pod that the stand-in for the kubelet acts on; everything else in it is ignored. */

export interface Pod {
  readonly metadata: {
    readonly name?: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: PodSpec;
}

export interface PodSpec {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly Volume[];
  readonly restartPolicy?: "Always" | "OnFailure" | "Never";
  readonly terminationGracePeriodSeconds?: number;
  readonly serviceAccountName?: string;
  readonly securityContext?: SecurityContext;
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly Variable[];
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
  readonly restartPolicy?: "Always";
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly lifecycle?: { readonly postStart?: Action; readonly preStop?: Action };
  readonly securityContext?: SecurityContext;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
  readonly resources?: { readonly limits?: Readonly<Record<string, string>> };
}

export interface SecurityContext {
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
  readonly readOnlyRootFilesystem?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
}

export interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly fieldRef?: { readonly fieldPath: string };
    readonly resourceFieldRef?: { readonly resource: string };
  };
}

export interface Action {
  readonly exec?: { readonly command: readonly string[] };
  readonly httpGet?: { readonly path?: string; readonly port: number | string };
  readonly tcpSocket?: { readonly port: number | string };
  readonly sleep?: { readonly seconds: number };
}

export interface Probe extends Action {
  readonly periodSeconds?: number;
  readonly timeoutSeconds?: number;
  readonly failureThreshold?: number;
}

export interface Volume {
  readonly name: string;
  readonly emptyDir?: object;
  readonly configMap?: { readonly name: string; readonly optional?: boolean };
  readonly downwardAPI?: {
    readonly items: readonly { readonly path: string; readonly fieldRef: { readonly fieldPath: string } }[];
  };
  readonly projected?: { readonly sources: readonly { readonly serviceAccountToken?: { readonly path: string } }[] };
}

/** What a node knows about a pod that it runs. */
export interface NodeFacts {
  readonly podIp: string;
  readonly hostIp: string;
  readonly nodeName: string;
  /** Contents of config maps by name, then by file. */
  readonly configMaps: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** The container's environment as a kubelet makes it; `$(NAME)` in it and in arguments is expanded where NAME is known. */
export function environmentOf(container: Container, pod: Pod, facts: NodeFacts): Readonly<Record<string, string>> {
  const known: Record<string, string> = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" };
  for (const variable of container.env ?? [])
    known[variable.name] = variableValue(variable, container, pod, facts, known);
  return known;
}

function variableValue(
  variable: Variable,
  container: Container,
  pod: Pod,
  facts: NodeFacts,
  known: Readonly<Record<string, string>>,
): string {
  const path = variable.valueFrom?.fieldRef?.fieldPath;
  if (path !== undefined) return fieldOf(path, pod, facts);
  const resource = variable.valueFrom?.resourceFieldRef?.resource;
  if (resource !== undefined) return amountOf(container.resources?.limits?.[resource.replace("limits.", "")] ?? "2");
  return expand(variable.value ?? "", known);
}

/** Whole cores and bytes, rounded up, as the downward API gives them with divisor 1. */
function amountOf(quantity: string): string {
  const [, number = "0", unit = ""] = /^(\d+)(.*)$/.exec(quantity) ?? [];
  const factor: Readonly<Record<string, number>> = { m: 0.001, Mi: 2 ** 20, Gi: 2 ** 30 };
  return String(Math.ceil(Number(number) * (factor[unit] ?? 1)));
}

export function fieldOf(path: string, pod: Pod, facts: NodeFacts): string {
  const fields: Readonly<Record<string, string>> = {
    "metadata.name": pod.metadata.name ?? "",
    "metadata.namespace": pod.metadata.namespace ?? "default",
    "metadata.labels": lines(pod.metadata.labels),
    "metadata.annotations": lines(pod.metadata.annotations),
    "status.podIP": facts.podIp,
    "status.hostIP": facts.hostIp,
    "spec.nodeName": facts.nodeName,
    "spec.serviceAccountName": pod.spec.serviceAccountName ?? "default",
  };
  const value = fields[path];
  if (value === undefined) throw new Error(`the stand-in does not know the field ${path}`);
  return value;
}

/** The downward API's files: a line `key="value"` for each, escaped as Go does. */
const lines = (map: Readonly<Record<string, string>> = {}): string =>
  Object.entries(map)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join("\n");

export const expand = (text: string, known: Readonly<Record<string, string>>): string =>
  text.replaceAll(/\$\(([A-Za-z_][A-Za-z0-9_]*)\)/g, (whole, name: string) => known[name] ?? whole);

/** A probe's port: a number, or the name of one of the container's ports. */
export function portOf(container: Container, port: number | string): number {
  if (typeof port === "number") return port;
  const found = container.ports?.find((one) => one.name === port)?.containerPort;
  if (found === undefined) throw new Error(`container ${container.name} has no port ${port}`);
  return found;
}
