import type { FlagReader } from "../config/flag-reader.ts";
import type { Problems } from "../foundation/problems.ts";
import type { HttpTarget } from "../system/http-client.ts";
import type { Option } from "./command.ts";
import { addressesOf } from "./loopback.ts";

const SOCKET = "./etc/istio/proxy/pilotfish.sock";
const STATUS_PORT = 15_020;

/** Flags of the commands that ask the proxy in this pod. */
export const controlOptions: readonly Option[] = [
  {
    name: "socket",
    kind: "string",
    placeholder: "PATH",
    default: SOCKET,
    summary: "The proxy's unix socket.",
  },
  {
    name: "statusPort",
    kind: "number",
    placeholder: "PORT",
    default: String(STATUS_PORT),
    summary: "The proxy's status port on loopback; given, the socket is not tried.",
  },
];

/** Where the proxy's control surface may be, to be tried in this order until somebody listens. */
export function controlTargets(flags: FlagReader, problems: Problems): readonly HttpTarget[] {
  const port = flags.integer("statusPort", 1, 65_535);
  const socketPath = flags.text("socket");
  if (port !== undefined && socketPath !== undefined) problems.add("--statusPort", "give a port or --socket, not both");
  const loopback = addressesOf("localhost").map((host) => ({ host, port: port ?? STATUS_PORT }));
  if (port !== undefined) return loopback;
  if (socketPath !== undefined) return [{ socketPath }];
  return [{ socketPath: SOCKET }, ...loopback];
}

/** The targets in words, for "nobody listens at". */
export const targetsInWords = (to: readonly HttpTarget[]): string =>
  to.map((one) => ("socketPath" in one ? one.socketPath : `${one.host}:${one.port}`)).join(", ");
