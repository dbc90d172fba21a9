import type { Command, Option } from "../command.ts";
import { logOptions } from "../options/log-options.ts";

const faults: readonly Option[] = [
  {
    name: "faultHang",
    kind: "string",
    placeholder: "ca|ads|all",
    summary: "Takes these calls and never answers.",
  },
  {
    name: "faultRefuse",
    kind: "string",
    placeholder: "ca|ads|all",
    summary: "Ends these calls with UNAVAILABLE.",
  },
  { name: "faultDelay", kind: "duration", placeholder: "TIME", summary: "Answers so much later." },
  {
    name: "faultAnswer",
    kind: "string",
    placeholder: "KIND",
    summary: "Wrong certificates: empty, leaf-only, foreign-key, foreign-root, wrong-name, expired, huge or garbage.",
  },
  {
    name: "faultLifetime",
    kind: "duration",
    placeholder: "TIME",
    summary: "Issues certificates of this lifetime, whatever was asked.",
  },
  {
    name: "faultDropAfter",
    kind: "number",
    placeholder: "BYTES",
    summary: "Cuts a connection after so many bytes of configuration.",
  },
].map((option) => ({ ...option, group: "Faults, for tests" }) as Option);

export const controlPlaneCommand: Command = {
  name: "control-plane",
  summary: "Runs a small control plane: certificates and configuration from files.",
  usage: "control-plane [flags]",
  description: [
    "A certificate authority and ADS (state of the world and delta) for development, tests and the demo. It speaks to " +
      "pilotfish and to Istio's own agent; it is no istiod: it knows no Kubernetes and computes no configuration.",
    "At the first start it makes a root and an intermediate and keeps them in --directory; root-cert.pem of that folder is " +
      'what workloads trust. Resources are YAML or JSON files as Envoy\'s documentation writes them, each with its "@type"; ' +
      "they are read again when they change, and a file that can't be used is reported while its last good content stays.",
  ],
  options: [
    {
      name: "directory",
      kind: "string",
      placeholder: "FOLDER",
      default: "./control-plane",
      summary: "Keeps the authority's keys and certificates, mode 0700.",
    },
    {
      name: "resources",
      kind: "string",
      placeholder: "FOLDER",
      summary: "Folder of YAML and JSON resources; without it there is no configuration.",
    },
    { name: "host", kind: "string", placeholder: "ADDRESS", default: "127.0.0.1", summary: "Where it listens." },
    {
      name: "port",
      kind: "number",
      placeholder: "PORT",
      default: "15012",
      summary: "TLS: certificates and configuration; 0 takes any free port, -1 is off.",
    },
    {
      name: "plainPort",
      kind: "number",
      placeholder: "PORT",
      default: "15010",
      summary: "The same without TLS; 0 takes any free port, -1 is off.",
    },
    {
      name: "serverName",
      kind: "string",
      placeholder: "NAME",
      repeatable: true,
      default: "istiod.istio-system.svc, localhost, 127.0.0.1",
      summary: "Name or IPv4 address in its certificate; may be given more than once.",
    },
    {
      name: "tokenFile",
      kind: "string",
      placeholder: "FILE",
      summary: "The one bearer token that is accepted, read at each call; without it every caller is let in.",
    },
    {
      name: "maxLifetime",
      kind: "duration",
      placeholder: "TIME",
      default: "24h",
      summary: "Longest lifetime of a certificate.",
    },
    ...faults,
    ...logOptions,
  ],
  unknownFlags: "error",
  exitCodes: [[69, "a port is taken, or the build's files are missing"]],
  signals: "own",
  load: () => import("../run-control-plane.ts"),
};
