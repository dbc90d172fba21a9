import type { Json, JsonObject } from "../../src/inject/json-value.ts";

/**
 * Kubernetes' own published schema of a kind, from the package kubernetes-models: every sentence it has against the
 * document, none when it is valid. An unknown kind is an error of the test.
 */
export async function objectionsTo(document: JsonObject): Promise<readonly string[]> {
  const [apiVersion, kind] = [textIn(document, "apiVersion"), textIn(document, "kind")];
  if (kind === "List") return (await Promise.all(items(document).map(objectionsTo))).flat();
  const model = (await import(`kubernetes-models/${apiVersion}/${kind}`)) as Record<string, Model>;
  const one = model[kind];
  if (one === undefined) throw new Error(`no schema for ${apiVersion} ${kind}`);
  try {
    new one(document).validate();
    return [];
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

type Model = new (data: Json) => { validate(): void };

const items = (list: JsonObject): readonly JsonObject[] => (list["items"] ?? []) as readonly JsonObject[];

const textIn = (document: JsonObject, key: string): string => {
  const value = document[key];
  return typeof value === "string" ? value : "";
};
