import jsone from "json-e";
import type { Json, JsonObject } from "../config/agent-config.ts";
import { describeError, InternalError, InvalidConfig } from "../foundation/errors.ts";
import { partTemplates, roleTemplates, sdsConfigTemplate } from "./built-in-templates.ts";
import { isObject } from "./proto-json.ts";
import type { TemplateValues } from "./template-values.ts";

/** A template of the user: where it came from, for messages, and what is in it. */
export interface UserTemplate {
  readonly path: string;
  readonly template: Json;
}

/** The built-in bootstrap of the role. A failure is a bug of the templates. */
export function renderBuiltIn(values: TemplateValues): JsonObject {
  const names = withParts(values);
  const { name, template } = roleTemplates[values.role];
  return asBootstrap(name, evaluate(name, template, names));
}

/**
 * The user's template, with all names of the built-in one, its parts, and `builtin`: the whole built-in bootstrap, so
 * that a template may be "as built in, but".
 */
export function renderUserTemplate(values: TemplateValues, user: UserTemplate): JsonObject {
  const names = withParts(values);
  try {
    return asBootstrap(user.path, evaluate(user.path, user.template, { ...names, builtin: renderBuiltIn(values) }));
  } catch (error) {
    if (!(error instanceof CannotRender)) throw error;
    throw new InvalidConfig([{ name: user.path, text: error.message }], "cannot use this bootstrap template");
  }
}

class CannotRender extends InternalError {}

type Names = Readonly<Record<string, unknown>>;

/** The parts are rendered first, each alone: what the templates then put in is data, never looked at again. */
function withParts(values: TemplateValues): Names {
  const names: Names = { ...values, sdsConfig: sdsConfigTemplate };
  const parts: Record<string, Json> = {};
  for (const [name, template] of Object.entries(partTemplates))
    parts[name] = evaluate(`parts.${name}`, template, names);
  return { ...names, parts };
}

function evaluate(name: string, template: Json, names: Names): Json {
  try {
    // Its types know objects only; it takes any JSON value and gives one back.
    return (jsone as (template: Json, names: Names) => Json)(template, names);
  } catch (error) {
    throw new CannotRender(`${name}: ${sentence(error, names)}`);
  }
}

/** json-e says `InterpreterError at template.node.id: unknown context value nodeId`. */
function sentence(error: unknown, names: Names): string {
  if (!(error instanceof Error)) return String(error);
  const where = "location" in error && Array.isArray(error.location) ? error.location.join("").replace(/^\./, "") : "";
  const at = where === "" ? "" : ` at ${where}`;
  const unknown = /unknown context value (.+)$/.exec(error.message)?.[1];
  if (unknown === undefined) return `cannot render it${at}: ${describeError(error)}`;
  return `cannot render it${at}: unknown name "${unknown}"; known are ${Object.keys(names).sort().join(", ")}`;
}

function asBootstrap(name: string, value: Json): JsonObject {
  if (isObject(value)) return value;
  throw new CannotRender(`${name}: cannot use the result: it is no object; a bootstrap has fields such as "admin"`);
}
