import jsone from "json-e";
import type { Json, JsonObject } from "../config/agent-config.ts";
import { describeError, InternalError, InvalidConfig } from "../foundation/errors.ts";
import { partTemplates, roleTemplates, sdsConfigTemplate } from "./built-in-templates.ts";
import { field, isObject } from "./proto-json.ts";
import type { TemplateValues } from "./template-values.ts";

/** A template of the user: where it came from, for messages, and what is in it. */
export interface UserTemplate {
  readonly path: string;
  readonly template: Json;
}

/** The built-in bootstrap of the role. A failure is a bug of the templates. */
export const renderBuiltIn = (values: TemplateValues): JsonObject => builtIn(values).bootstrap;

/**
 * The user's template, with all names of the built-in one, its parts, and `builtin`: the whole built-in bootstrap, so
 * that a template may be "as built in, but". InvalidConfig says what is wrong with it, and where.
 */
export function renderUserTemplate(values: TemplateValues, user: UserTemplate): JsonObject {
  const { parts, bootstrap } = builtIn(values);
  try {
    const names = { ...values, sdsConfig: sdsConfigTemplate, parts, builtin: bootstrap };
    return asBootstrap(evaluate(user.template, names));
  } catch (error) {
    if (!(error instanceof CannotRender)) throw error;
    throw new InvalidConfig([{ name: user.path, text: error.message }], "cannot use this bootstrap template");
  }
}

interface BuiltIn {
  readonly parts: JsonObject;
  readonly bootstrap: JsonObject;
}

/**
 * Parts first, then the whole of them: what is put in is data and is never looked at again. All in one call, because
 * each call of json-e costs a tenth of a millisecond before it does anything.
 */
function builtIn(values: TemplateValues): BuiltIn {
  const both: Json = {
    $let: { parts: partTemplates },
    in: { parts: { $eval: "parts" }, bootstrap: roleTemplates[values.role] },
  };
  try {
    const found = evaluate(both, { ...values, sdsConfig: sdsConfigTemplate });
    return { parts: asBootstrap(field(found, "parts")), bootstrap: asBootstrap(field(found, "bootstrap")) };
  } catch (error) {
    throw new InternalError(`a built-in bootstrap template: ${describeError(error)}`, { cause: error });
  }
}

class CannotRender extends Error {}

type Names = Readonly<Record<string, unknown>>;

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

function asBootstrap(value: Json | undefined): JsonObject {
  if (isObject(value)) return value;
  throw new CannotRender('cannot use the result: it is no object; a bootstrap has fields such as "admin"');
}
