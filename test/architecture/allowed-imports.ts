/**
 * Which folder of src/ may import which (itself always). Changing this table is a deliberate commit that says why.
 * A value "folder/file" allows one file only.
 */
export const allowedImports: Readonly<Record<string, readonly string[]>> = {
  foundation: [],
  system: ["foundation"],
  config: ["foundation"],
  bootstrap: ["config", "foundation"],
  process: ["config", "system", "foundation"],
  // system/close-later alone: a call that its caller leaves half open has to end some time.
  protocol: ["foundation", "system/close-later"],
  identity: ["config", "protocol", "system", "foundation"],
  sds: ["config", "identity", "protocol", "system", "foundation"],
  xds: ["config", "identity", "protocol", "system", "foundation"],
  dns: ["config", "system", "foundation"],
  metrics: ["config", "system", "foundation"],
  status: ["config", "metrics", "system", "foundation", "process/envoy-snapshot"],
  capture: ["config", "system", "foundation"],
  inject: ["config", "foundation"],
  "control-plane": ["protocol", "system", "foundation"],
  agent: [
    "config",
    "bootstrap",
    "process",
    "protocol",
    "identity",
    "sds",
    "xds",
    "dns",
    "metrics",
    "status",
    "system",
    "foundation",
  ],
  cli: [
    "config",
    "bootstrap",
    "process",
    "protocol",
    "identity",
    "sds",
    "xds",
    "dns",
    "metrics",
    "status",
    "capture",
    "inject",
    "control-plane",
    "agent",
    "system",
    "foundation",
  ],
  "main.ts": ["cli", "system", "foundation"],
};

/** Single files that may import more than their folder. */
export const exceptions: Readonly<Record<string, readonly string[]>> = {
  "bootstrap/bootstrap-file.ts": ["system"],
  // The templates are data beside src/, built into the bundle.
  "bootstrap/built-in-templates.ts": [".."],
  // The listening half of injection: its certificate comes from files, or is made as the embedded control plane makes its own.
  "inject/webhook": ["system", "control-plane/certificate-authority", "identity/watched-files", "protocol/der"],
};

/** node: modules that are allowed outside system/, by folder: no file, no socket, no program is opened through them. */
export const nodeModules: Readonly<Record<string, readonly string[]>> = {
  bootstrap: ["node:crypto"],
  identity: ["node:crypto", "node:path", "node:util"],
  capture: ["node:crypto"],
  // The webhook's own servers; the pure part imports none of them.
  inject: ["node:crypto", "node:http", "node:https", "node:path"],
  "control-plane": ["node:crypto", "node:stream"],
  status: ["node:http"],
  metrics: ["node:buffer", "node:http", "node:stream", "node:stream/promises", "node:zlib"],
  xds: ["node:http2"],
  // The gRPC server layer of SDS, ADS and the embedded control plane works on sockets that system/ accepted.
  protocol: ["node:http2", "node:stream"],
  config: ["node:path"],
  // The example application of `pilotfish demo`.
  cli: ["node:http", "node:https", "node:tls"],
};

/** Packages by folder ("*": everywhere). */
export const packages: Readonly<Record<string, readonly string[]>> = {
  foundation: ["pino"],
  system: ["koffi", "tree-kill"],
  config: ["yaml"],
  bootstrap: ["json-e", "yaml"],
  metrics: ["prom-client"],
  inject: ["yaml"],
  capture: [],
  // gRPC is our own, over node:http2: it keeps grpc-js out of every pod. The tests use it as the other side.
  protocol: ["@grpc/proto-loader"],
  // protobufjs comes with proto-loader; only the embedded control plane turns Envoy's YAML into messages.
  "control-plane": ["protobufjs", "yaml"],
  cli: ["yaml"],
};
