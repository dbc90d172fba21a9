import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileExists } from "./files.ts";

/** The files that this process runs from. */
export interface OwnParts {
  /** The Node.js binary. */
  readonly node: string;
  /** The one bundle. */
  readonly bundle: string;
  /** The dynamic loader that started Node. */
  readonly loader: string;
  /** Shared libraries that the process has loaded, by the names under which the loader looks for them. */
  readonly libraries: readonly string[];
  /** Files of the native calls that were loaded, with their places below `node_modules`; empty without them. */
  readonly modules: readonly { readonly from: string; readonly to: string }[];
}

/** What a copy of this program needs to run anywhere on this kind of machine. Loads the native calls. */
export function ownParts(): OwnParts {
  const bundle = process.argv[1] ?? "";
  const modules = nativeModules(bundle);
  const shared = sharedObjects();
  // Started through its loader (a copy made by `install`), Node takes the loader for itself.
  const beside = join(dirname(bundle), "node");
  const isLoader = (path: string) => /\/ld[-.][^/]*$/.test(path);
  return {
    node: fileExists(beside) ? beside : process.execPath,
    bundle,
    loader: shared.find(isLoader) ?? process.execPath,
    libraries: shared.filter((path) => !isLoader(path) && !path.endsWith(".node")),
    modules,
  };
}

/** By path, without the kernel's vdso; the report's look-ups in the network are left out. */
function sharedObjects(): readonly string[] {
  // Newer than its type: without it the report looks up the names of all peers.
  Object.assign(process.report, { excludeNetwork: true });
  const { sharedObjects: all } = process.report.getReport() as unknown as { sharedObjects: readonly string[] };
  return all.filter((path) => path.startsWith("/") && path !== process.execPath && fileExists(path));
}

function nativeModules(bundle: string): OwnParts["modules"] {
  const require = createRequire(bundle);
  try {
    (require("koffi") as { load: (name: null) => unknown }).load(null);
  } catch {
    return [];
  }
  const loaded = Object.keys(require.cache).flatMap((from) => {
    const at = from.lastIndexOf("/node_modules/");
    return at < 0 || !from.includes("koffi") ? [] : [{ from, root: from.slice(0, at + "/node_modules".length) }];
  });
  const files = new Map(loaded.map(({ from, root }) => [from, relative(root, from)]));
  // Node finds a package's entry through its description, which is no module.
  for (const { from, root } of loaded) {
    const description = join(root, packageOf(relative(root, from)), "package.json");
    files.set(description, relative(root, description));
  }
  return [...files].map(([from, to]) => ({ from, to }));
}

const packageOf = (path: string): string =>
  path
    .split("/")
    .slice(0, path.startsWith("@") ? 2 : 1)
    .join("/");
