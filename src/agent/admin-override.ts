import { field, isObject } from "../bootstrap/proto-json.ts";
import type { Json, JsonObject } from "../config/agent-config.ts";
import { readJson } from "../config/structured-text.ts";
import { InternalError } from "../foundation/errors.ts";

/**
 * The text for `--config-yaml` that moves Envoy's admin to a unix socket, whatever the bootstrap says: Envoy merges it
 * over the bootstrap, and setting one kind of address unsets the other. Envoy takes the flag once, so it contains the
 * user's override too, with only the admin's address changed.
 */
export async function adminOverride(override: string | undefined): Promise<(path: string) => string> {
  if (override === undefined) return (path) => JSON.stringify(withAdmin({}, path));
  const json = readJson(override);
  if (json.ok) return (path) => JSON.stringify(withAdmin(json.value, path));
  const { editYaml } = await import("../bootstrap/edit-yaml.ts");
  const read = editYaml(override, {});
  if (!read.ok) throw new InternalError("an override was rendered that cannot be read");
  if (field(read.value, "admin") !== undefined) return (path) => JSON.stringify(withAdmin(read.value, path));
  // Added to the text, so that the rest keeps its spelling: Envoy's YAML has its own idea of some words.
  return (path) => {
    const edited = editYaml(override, { add: () => withAdmin({}, path) });
    return edited.ok ? edited.text : JSON.stringify(withAdmin(read.value, path));
  };
}

/** Ours alone: the directory keeps others out, and the mode does once more. */
const adminAt = (path: string): JsonObject => ({ address: { pipe: { path, mode: 0o600 } } });

function withAdmin(override: Json, path: string): JsonObject {
  const others = isObject(override) ? override : {};
  const admin = field(others, "admin");
  return { ...others, admin: { ...(isObject(admin) ? admin : {}), ...adminAt(path) } };
}
