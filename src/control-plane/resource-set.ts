import { createHash } from "node:crypto";

/** One resource as it goes on the wire. */
export interface Resource {
  readonly name: string;
  readonly version: string;
  /** The message's bytes. */
  readonly value: Buffer;
}

/** All resources of one type, with a version that changes when any of them does. */
export interface ResourcesOfType {
  readonly version: string;
  readonly byName: ReadonlyMap<string, Resource>;
}

export type ResourceSet = ReadonlyMap<string, ResourcesOfType>;

const digest = (...parts: readonly (string | Buffer)[]): string => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex").slice(0, 16);
};

/** Sorts resources by type; a name that comes twice is an error that names it. */
export function resourceSet(
  resources: readonly { readonly typeUrl: string; readonly name: string; readonly value: Buffer }[],
): ResourceSet {
  const types = new Map<string, Map<string, Resource>>();
  for (const { typeUrl, name, value } of resources) {
    const byName = types.get(typeUrl) ?? new Map<string, Resource>();
    if (byName.has(name)) throw new Error(`cannot use "${name}": two resources of ${typeUrl} have this name`);
    byName.set(name, { name, value, version: digest(value) });
    types.set(typeUrl, byName);
  }
  return new Map(
    [...types].map(([typeUrl, byName]) => {
      const versions = [...byName.values()].map(({ name, version }) => `${name}=${version}\n`).sort();
      return [typeUrl, { version: digest(...versions), byName }];
    }),
  );
}
