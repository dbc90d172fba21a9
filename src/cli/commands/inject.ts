import type { Command } from "../command.ts";

export const injectCommand: Command = {
  name: "inject",
  summary: "Adds the proxy to the pods of Kubernetes manifests.",
  usage: "inject -f FILE|- [flags]",
  description: [
    "Reads YAML or JSON with one or several documents and writes the same text with the proxy in every pod: Pod, Deployment, " +
      "DaemonSet, ReplicaSet, ReplicationController, StatefulSet, Job, CronJob, DeploymentConfig and List. Other kinds pass " +
      "unchanged. Comments and the order of keys stay.",
    "Istio's labels and annotations steer it. Injecting again, in any mode, gives what injecting the original would have " +
      "given; --remove gives the original back.",
    "Warnings go to standard error, one line each, with file and line.",
  ],
  options: [
    {
      name: "filename",
      short: "f",
      kind: "string",
      placeholder: "FILE",
      summary: "The manifests; - is standard input.",
      repeatable: true,
    },
    {
      name: "output",
      short: "o",
      kind: "string",
      placeholder: "FILE",
      default: "standard output",
      summary: "Where the result is written, whole or not at all.",
    },
    {
      name: "native",
      kind: "boolean",
      summary: "Native sidecars (Kubernetes 1.29), whatever annotations and file say.",
    },
    {
      name: "classic",
      kind: "boolean",
      summary: "The proxy as a container among the others, whatever annotations and file say.",
    },
    {
      name: "config",
      kind: "string",
      placeholder: "FILE",
      summary: "The injector's configuration (docs/injection.md).",
    },
    {
      name: "set",
      kind: "string",
      placeholder: "a.b=VALUE",
      summary: "One setting of the configuration, its value in YAML; wins over the file.",
      repeatable: true,
    },
    {
      name: "namespace",
      short: "n",
      kind: "string",
      placeholder: "NAMESPACE",
      default: "default",
      summary: "Namespace of documents that name none.",
    },
    { name: "remove", kind: "boolean", summary: "Takes an earlier injection back." },
    { name: "diff", kind: "boolean", summary: "Shows what changes instead of the result; in colour on a terminal." },
    { name: "explain", kind: "boolean", summary: "Says why each addition is there instead of the result." },
  ],
  unknownFlags: "error",
  exitCodes: [],
  load: () => import("../run-inject.ts"),
};
