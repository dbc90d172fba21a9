import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fieldOf, type NodeFacts, type Pod, type Volume } from "./pod.ts";

/** Folders of the pod's volumes, by name, as a kubelet prepares them. */
export function makeVolumes(pod: Pod, facts: NodeFacts, folder: string): ReadonlyMap<string, string> {
  const volumes = new Map(
    (pod.spec.volumes ?? []).map((volume) => {
      const path = join(folder, volume.name);
      mkdirSync(path, { recursive: true });
      // World-writable, as a kubelet makes an emptyDir.
      chmodSync(path, volume.emptyDir === undefined ? 0o755 : 0o777);
      fill(volume, path, pod, facts);
      return [volume.name, path];
    }),
  );
  makeNestedMountPoints(pod, volumes);
  return volumes;
}

/** A volume that is mounted inside of another one finds its folder there, as a kubelet sees to. */
function makeNestedMountPoints(pod: Pod, volumes: ReadonlyMap<string, string>): void {
  for (const { volumeMounts = [] } of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
    for (const { name, mountPath } of volumeMounts) {
      const [outer] = volumeMounts
        .filter((one) => mountPath.startsWith(`${one.mountPath}/`))
        .toSorted((left, right) => right.mountPath.length - left.mountPath.length);
      const folder = volumes.get(outer?.name ?? "");
      if (outer === undefined || folder === undefined || outer.name === name) continue;
      mkdirSync(join(folder, mountPath.slice(outer.mountPath.length)), { recursive: true });
    }
  }
}

function fill(volume: Volume, path: string, pod: Pod, facts: NodeFacts): void {
  if (volume.emptyDir !== undefined) return;
  if (volume.configMap !== undefined) return fillConfigMap(volume.configMap, path, facts);
  for (const { path: name, fieldRef } of volume.downwardAPI?.items ?? []) {
    writeFileSync(join(path, name), fieldOf(fieldRef.fieldPath, pod, facts), { mode: 0o644 });
  }
  for (const { serviceAccountToken } of volume.projected?.sources ?? []) {
    if (serviceAccountToken !== undefined)
      writeFileSync(join(path, serviceAccountToken.path), "a-token", { mode: 0o644 });
  }
}

function fillConfigMap(
  source: { readonly name: string; readonly optional?: boolean },
  path: string,
  facts: NodeFacts,
): void {
  const files = facts.configMaps[source.name];
  if (files === undefined && source.optional !== true) throw new Error(`there is no config map ${source.name}`);
  for (const [name, text] of Object.entries(files ?? {})) writeFileSync(join(path, name), text, { mode: 0o644 });
}
