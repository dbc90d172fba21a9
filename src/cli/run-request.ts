import { FlagReader } from "../config/flag-reader.ts";
import { isObject, scalarText } from "../config/object-reader.ts";
import { type ReadStructured, readJson, type Structured } from "../config/structured-text.ts";
import { parseInteger } from "../config/units.ts";
import { describeError, errorCode, Refused, Unavailable } from "../foundation/errors.ts";
import { Problems } from "../foundation/problems.ts";
import type { HttpTarget } from "../system/http-client.ts";
import { httpStream } from "../system/http-stream.ts";
import type { Call } from "./command.ts";
import { addressesOf, nobodyThere } from "./loopback.ts";

/** Ports that pilot-agent's `request` may ask: admin, the old debug tap, status, readiness. */
const usual = [15_000, 15_004, 15_020, 15_021];

interface Request {
  /** Tried in this order until somebody listens. */
  readonly to: readonly HttpTarget[];
  /** The target in words. */
  readonly where: string;
  readonly method: string;
  readonly path: string;
  readonly body: string | undefined;
  readonly timeout: number;
}

/** `request METHOD PATH [BODY]`: the body goes out as it comes in, so that a large dump needs no memory here. */
export async function run(call: Call): Promise<number> {
  const request = readRequest(call, await readerOf(call.env.get("PROXY_CONFIG") ?? ""));
  const status = await send(request, (part) => {
    if (call.outBytes) call.outBytes(part);
    else call.out(Buffer.from(part).toString("utf8"));
  });
  if (status >= 200 && status < 300) return 0;
  throw new Refused(`cannot ${request.method} ${request.path} on ${request.where}: the answer is ${status}`);
}

/** What the words ask for; InvalidConfig with all that is wrong with them. */
export function readRequest(call: Pick<Call, "flags" | "env">, read: ReadStructured = readJson): Request {
  const problems = new Problems();
  const flags = new FlagReader(call.flags.values, problems);
  const [method = "", path = "", body, ...more] = call.flags.positionals;
  if (!/^[A-Za-z]+$/.test(method)) problems.add("METHOD", `"${method}" is no method; use GET or POST`);
  if (path === "") problems.add("PATH", "no path was given; use for example /server_info");
  if (/\s|\p{Cc}/u.test(path)) problems.add("PATH", `"${path}" has blanks; write them as %20`);
  if (more.length > 0) problems.add("BODY", `${more.length} more words were given; quote the body`);
  const target = readTarget(flags, call.env, read, problems);
  const timeout = flags.duration("timeout") ?? 60_000;
  problems.throwIfAny("cannot send this request");
  return { ...target, method: method.toUpperCase(), path: path.startsWith("/") ? path : `/${path}`, body, timeout };
}

function readTarget(
  flags: FlagReader,
  env: ReadonlyMap<string, string>,
  read: ReadStructured,
  problems: Problems,
): Pick<Request, "to" | "where"> {
  const socketPath = flags.text("socket");
  const proxyConfig = read(env.get("PROXY_CONFIG") ?? "");
  const admin = flags.integer("proxyAdminPort", 1, 65_535) ?? configured(proxyConfig, "proxyAdminPort");
  const status = flags.integer("statusPort", 1, 65_535) ?? configured(proxyConfig, "statusPort");
  const port = flags.integer("debug-port", 1, 65_535) ?? admin ?? 15_000;
  if (socketPath !== undefined) return { to: [{ socketPath }], where: socketPath };
  const readiness = parseInteger(env.get("ENVOY_STATUS_PORT") ?? "");
  const allowed = [...usual, admin, status, readiness].filter((one) => one !== undefined);
  if (!allowed.includes(port)) {
    const list = [...new Set(allowed)].sort((a, b) => a - b).join(", ");
    problems.add("--debug-port", `"${port}" is no port of the proxy; use one of ${list}`);
  }
  // Envoy's admin has the family of the pod; `localhost` would need a resolver and may mean the other one.
  const to = addressesOf("localhost").map((host) => ({ host, port }));
  return { to, where: `port ${port}` };
}

/** A port that PROXY_CONFIG moved; what can't be read there is the proxy's own matter. */
function configured(read: Structured, name: string): number | undefined {
  return read.ok && isObject(read.value) ? parseInteger(scalarText(read.value[name]) ?? "") : undefined;
}

/** Injection writes JSON; only what is none pays for loading the YAML package. */
const readerOf = async (text: string): Promise<ReadStructured> =>
  readJson(text).ok ? readJson : (await import("../config/yaml-reader.ts")).readYaml;

async function send(request: Request, onPart: (part: Uint8Array) => void): Promise<number> {
  const { method, path, body, timeout } = request;
  for (const [index, to] of request.to.entries()) {
    try {
      return await httpStream({ to, method, path, timeout, ...(body === undefined ? {} : { body }) }, onPart);
    } catch (error) {
      const nobody = nobodyThere.includes(errorCode(error) ?? "");
      if (nobody && index < request.to.length - 1) continue;
      const why = `cannot ${method} ${path} on ${request.where}: ${describeError(error)}`;
      throw nobody ? new Unavailable(`${why}; is the proxy running here?`) : new Refused(why);
    }
  }
  throw new Unavailable(`cannot ${method} ${path} on ${request.where}: there is no address to ask`);
}
