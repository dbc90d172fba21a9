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
  return asBug(() => builtIn(values, withParts(values)));
}

/**
 * The user's template, with all names of the built-in one, its parts, and `builtin`: the whole built-in bootstrap, so
 * that a template may be "as built in, but". InvalidConfig says what is wrong with it, and where.
 */
export function renderUserTemplate(values: TemplateValues, user: UserTemplate): JsonObject {
  const names = asBug(() => {
    const parts = withParts(values);
    return { ...parts, builtin: builtIn(values, parts) };
  });
  try {
    return asBootstrap(evaluate(user.template, names));
  } catch (error) {
    if (!(error instanceof CannotRender)) throw error;
    throw new InvalidConfig([{ name: user.path, text: error.message }], "cannot use this bootstrap template");
  }
}

class CannotRender extends Error {}

function asBug<T>(render: () => T): T {
  try {
    return render();
  } catch (error) {
    throw new InternalError(`a built-in bootstrap template: ${describeError(error)}`, { cause: error });
  }
}

const builtIn = (values: TemplateValues, names: Names): JsonObject =>
  asBootstrap(evaluate(roleTemplates[values.role], names));

type Names = Readonly<Record<string, unknown>>;

/** The parts are rendered first, each alone: what the templates then put in is data, never looked at again. */
function withParts(values: TemplateValues): Names {
  const names: Names = { ...values, sdsConfig: sdsConfigTemplate };
  const parts: Record<string, Json> = {};
  for (const [name, template] of Object.entries(partTemplates)) parts[name] = evaluate(template, names);
  return { ...names, parts };
}

function evaluate(template: Json, names: Names): Json {
  try {
    // Its types know objects only; it takes any JSON value and gives one back.
    return (jsone as (template: Json, names: Names) => Json)(template, names);
  } catch (error) {
    throw new CannotRender(sentence(error, names));
  }
}

/** json-e says `InterpreterError at template.node.id: unknown context value nodeId`. */
function sentence(error: unknown, names: Names): string {
  // An expression that ends too early (`1 +`) makes json-e itself stumble.
  if (!(error instanceof Error) || !("location" in error)) {
    return `cannot render it: an expression in it is broken (${describeError(error)})`;
  }
  const where = Array.isArray(error.location) ? error.location.join("").replace(/^\./, "") : "";
  const at = where === "" ? "" : ` at ${where}`;
  const unknown = /unknown context value (.+)$/.exec(error.message)?.[1];
  if (unknown === undefined) return `cannot render it${at}: ${error.message}`;
  return `cannot render it${at}: unknown name "${unknown}"; known are ${Object.keys(names).sort().join(", ")}`;
}

function asBootstrap(value: Json): JsonObject {
  if (isObject(value)) return value;
  throw new CannotRender('cannot use the result: it is no object; a bootstrap has fields such as "admin"');
}
