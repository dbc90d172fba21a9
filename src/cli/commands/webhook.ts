import type { Command } from "../command.ts";
import { logOptions } from "../options/log-options.ts";

export const webhookCommand: Command = {
  name: "webhook",
  summary: "Serves the admission webhook that injects pods as they are created.",
  usage: "webhook [flags]",
  description: [
    "Answers AdmissionReview (admission.k8s.io/v1) at /inject over TLS with an RFC 6902 patch, and /healthz. The certificate " +
      "and the configuration are read again when their files change. Manifests to install it are in deploy/.",
    "With --makeCertificate it writes a CA and a serving certificate into a folder and ends: ca.crt is what the cluster's " +
      "webhook configuration must hold as caBundle.",
  ],
  options: [
    { name: "host", kind: "string", placeholder: "ADDRESS", default: "0.0.0.0", summary: "Address to listen on." },
    {
      name: "port",
      kind: "number",
      placeholder: "PORT",
      default: "9443",
      summary: "Port of the webhook; 0 takes a free one.",
    },
    {
      name: "monitoringPort",
      kind: "number",
      placeholder: "PORT",
      default: "15014",
      summary: "Port of /healthz and /metrics without TLS; -1 turns it off.",
    },
    {
      name: "cert",
      kind: "string",
      placeholder: "FILE",
      default: "./etc/webhook/tls.crt",
      summary: "Serving certificate, PEM.",
    },
    { name: "key", kind: "string", placeholder: "FILE", default: "./etc/webhook/tls.key", summary: "Its key, PEM." },
    {
      name: "selfMade",
      kind: "string",
      placeholder: "FOLDER",
      summary: "Makes its own certificate in this folder and renews it, instead of --cert and --key; for one replica.",
    },
    {
      name: "makeCertificate",
      kind: "string",
      placeholder: "FOLDER",
      summary: "Writes ca.crt, tls.crt and their keys into this folder and ends.",
    },
    {
      name: "serverName",
      kind: "string",
      placeholder: "NAME",
      default: "pilotfish-webhook.pilotfish-system.svc",
      summary: "Name that a certificate of our making is for.",
      repeatable: true,
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
      name: "maxBody",
      kind: "number",
      placeholder: "BYTES",
      default: "4194304",
      summary: "Longest review that is read.",
    },
    {
      name: "requestTimeout",
      kind: "duration",
      placeholder: "DURATION",
      default: "10s",
      summary: "How long a request may take to arrive.",
    },
    ...logOptions,
  ],
  unknownFlags: "error",
  exitCodes: [[69, "the port is taken, or there is no usable certificate"]],
  signals: "own",
  load: () => import("../run-webhook.ts"),
};
