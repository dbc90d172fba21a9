import { readFileSync, writeFileSync } from "node:fs";
import { describeError } from "../foundation/errors.ts";

/** Setting of the network namespace (Linux: ip-sysctl, tcp_migrate_req; since 5.14). */
const SETTING = "/proc/sys/net/ipv4/tcp_migrate_req";

/**
 * Lets connections that wait in the queue of a listen socket move to another one of the same port when it is closed:
 * without it they are reset at a swap, and when Envoy starts with fewer workers. It holds for the whole network
 * namespace and stays. Needs CAP_NET_ADMIN there; without it the reason is given and nothing is changed.
 */
export function allowTcpMigration(setting: string = SETTING): "on" | "was on" | { readonly why: string } {
  try {
    if (readFileSync(setting, "utf8").trim() === "1") return "was on";
    writeFileSync(setting, "1\n", { flag: "r+" });
    return "on";
  } catch (error) {
    return { why: `cannot write "${setting}": ${describeError(error)}` };
  }
}
