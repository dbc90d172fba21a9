import type { Variable } from "./environment-variable.ts";

/** Certificates (features.md CLI-10) and the connection to the control plane (CLI-11). */
export const identityVariables = {
  CA_PROVIDER: {
    kind: "choice",
    choices: ["Citadel", "GkeWorkloadCertificate", "GoogleCA", "GoogleCAS"],
    default: "Citadel",
    summary: "Whom certificates come from: istiod's own protocol, or mounted files.",
    today: "GoogleCA and GoogleCAS refuse to start: their protocols are not spoken here.",
  },
  CA_ADDR: { kind: "address", summary: "The certificate authority; without it the discovery address." },
  CA_ROOT_CA: { kind: "text", summary: "Root certificates for CA_ADDR: a file, or `SYSTEM`." },
  PILOT_CERT_PROVIDER: {
    kind: "text",
    default: "istiod",
    summary: "Who signs: `istiod`, `kubernetes`, `k8s.io/NAME`, `custom` or `none`.",
  },
  JWT_POLICY: {
    kind: "choice",
    choices: ["third-party-jwt", "first-party-jwt", "none"],
    default: "third-party-jwt",
    summary: "Which kind of token proves who we are.",
    today: "the projected token is the only one that is read.",
  },
  TOKEN_AUDIENCES: { kind: "list", default: "istio-ca", summary: "Audiences of the token." },
  PROV_CERT: { kind: "text", summary: "Folder with a certificate that is there already (virtual machines)." },
  OUTPUT_CERTS: { kind: "text", summary: "Folder into which certificate, key and roots are written." },
  PILOTFISH_OUTPUT_CERTS_MODE: {
    kind: "text",
    default: "0600",
    summary: "Mode of the files below OUTPUT_CERTS, in octal.",
  },
  PILOTFISH_SDS_UIDS: {
    kind: "list",
    summary: "Uids that may ask our SDS and XDS sockets, beside our own and root.",
  },
  SECRET_TTL: { kind: "duration", default: "24h", summary: "Lifetime that is asked for a certificate." },
  SECRET_GRACE_PERIOD_RATIO: {
    kind: "ratio",
    default: "0.5",
    summary: "Part of the lifetime before the end in which a certificate is renewed.",
  },
  SECRET_GRACE_PERIOD_RATIO_JITTER: {
    kind: "ratio",
    default: "0.01",
    summary: "By how much the ratio varies up or down, so that not all pods renew at once.",
  },
  WORKLOAD_RSA_KEY_SIZE: { kind: "integer", default: "2048", summary: "Bits of an RSA key, at least 2048." },
  PKCS8_KEY: { kind: "boolean", default: "false", summary: "Writes the key as PKCS#8." },
  ECC_SIGNATURE_ALGORITHM: { kind: "choice", choices: ["ECDSA"], summary: "An elliptic-curve key instead of RSA." },
  ECC_CURVE: {
    kind: "choice",
    choices: ["P256", "P384"],
    default: "P256",
    summary: "The curve of ECC_SIGNATURE_ALGORITHM.",
  },
  FILE_MOUNTED_CERTS: {
    kind: "boolean",
    default: "false",
    summary: "Certificates are mounted files, named by the metadata TLS_CLIENT_* and TLS_SERVER_*.",
  },
  FILE_DEBOUNCE_DURATION: {
    kind: "duration",
    default: "100ms",
    summary: "How long files must be quiet before a change counts.",
  },
  WORKLOAD_IDENTITY_SOCKET_FILE: {
    kind: "text",
    default: "socket",
    summary: "File name of the SDS socket below ./var/run/secrets/workload-spiffe-uds.",
  },
  CREDENTIAL_FETCHER_TYPE: {
    kind: "choice",
    choices: ["JWT", "GoogleComputeEngine", "Mock"],
    default: "JWT",
    summary: "Where the token comes from.",
    today: "GoogleComputeEngine and Mock refuse to start: the token is read from its file.",
  },
  CREDENTIAL_IDENTITY_PROVIDER: {
    kind: "text",
    default: "GoogleComputeEngine",
    summary: "Identity provider of the credential fetcher.",
    today: "accepted and ignored, as there is no such fetcher.",
  },
  PILOT_ENABLE_CA_CRL: {
    kind: "boolean",
    default: "true",
    summary: "Hands Envoy the revocation list of the authority when there is one.",
  },
  XDS_ROOT_CA: { kind: "text", summary: "Root certificates for the discovery address: a file, or `SYSTEM`." },
  ISTIOD_SAN: { kind: "text", summary: "Name in the control plane's certificate when it is not the host's." },
  XDS_AUTH_PROVIDER: {
    kind: "text",
    summary: "Vendor's way to prove who we are.",
    today: "accepted and ignored: the token is sent.",
  },
  PROXY_CONFIG_XDS_AGENT: {
    kind: "boolean",
    default: "false",
    summary: "Takes changes of the trust bundle from the control plane.",
  },
  GRPC_KEEPALIVE_INTERVAL: { kind: "duration", default: "30s", summary: "How often a quiet connection is asked." },
  GRPC_KEEPALIVE_TIMEOUT: { kind: "duration", default: "10s", summary: "How long the answer may take." },
  ISTIO_GPRC_MAXSTREAMS: { kind: "integer", default: "100000", summary: "Streams that our own gRPC servers allow." },
  ISTIO_GPRC_MAXRECVMSGSIZE: {
    kind: "integer",
    default: "4194304",
    summary: "Longest message that our own gRPC servers take, in bytes.",
  },
  PILOTFISH_CONTROL_PLANE_TOLERANCE: {
    kind: "duration",
    summary:
      "How long a pod that had its configuration stays ready while the control plane is away; without it for ever. --control-plane-tolerance beats it.",
  },
  GRPC_XDS_BOOTSTRAP: {
    kind: "text",
    default: "./etc/istio/proxy/grpc-bootstrap.json",
    summary: "Bootstrap for applications that speak xDS themselves.",
    today: "accepted, not written yet.",
  },
} as const satisfies Record<string, Variable>;
