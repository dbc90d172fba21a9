import type { Json, JsonObject } from "../../src/inject/json-value.ts";

/**
 * Kubernetes' own published schema of a kind, from the package kubernetes-models: every sentence it has against the
 * document, none when it is valid. An unknown kind is an error of the test.
 */
export async function objectionsTo(document: JsonObject): Promise<readonly string[]> {
  const { apiVersion, kind } = document;
  if (kind === "List") return (await Promise.all(items(document).map(objectionsTo))).flat();
  const model = (await import(`kubernetes-models/${String(apiVersion)}/${String(kind)}`)) as Record<string, Model>;
  const one = model[String(kind)];
  if (one === undefined) throw new Error(`no schema for ${String(apiVersion)} ${String(kind)}`);
  try {
    new one(document).validate();
    return [];
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

type Model = new (data: Json) => { validate(): void };

const items = (list: JsonObject): readonly JsonObject[] => (list["items"] ?? []) as readonly JsonObject[];
