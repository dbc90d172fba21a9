/** One file of the installed folder. */
export interface Placed {
  readonly to: string;
  readonly content: { readonly from: string } | { readonly text: string };
  readonly mode: number;
  /** Under which heading its size is told. */
  readonly part: "node" | "bundle" | "libraries" | "native calls" | "launcher";
}

/** What the plan is made of; system/own-parts.ts has the real ones. */
export interface Parts {
  readonly node: string;
  readonly bundle: string;
  readonly loader: string;
  readonly libraries: readonly string[];
  readonly modules: readonly { readonly from: string; readonly to: string }[];
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

/** The files of `DIR`: one launcher in front, everything else below `DIR/lib`. The launcher is last. */
export function installPlan(dir: string, parts: Parts): readonly Placed[] {
  const lib = (name: string) => `${dir}/lib/${name}`;
  const copy = (from: string, to: string, part: Placed["part"]): Placed => ({
    to: lib(to),
    content: { from },
    mode: 0o755,
    part,
  });
  return [
    copy(parts.node, "node", "node"),
    copy(parts.bundle, "pilotfish.cjs", "bundle"),
    copy(parts.loader, "loader", "libraries"),
    ...parts.libraries.map((path) => copy(path, nameOf(path), "libraries")),
    ...parts.modules.map(({ from, to }) => copy(from, `node_modules/${to}`, "native calls")),
    { to: `${dir}/pilotfish`, content: { text: launcher }, mode: 0o755, part: "launcher" },
  ];
}

/** Every folder that the plan needs, outer ones first. */
export function foldersOf(plan: readonly Placed[], dir: string): readonly string[] {
  const all = plan.flatMap(({ to }) => {
    const below = to
      .slice(dir.length + 1)
      .split("/")
      .slice(0, -1);
    return below.map((_, at) => [dir, ...below.slice(0, at + 1)].join("/"));
  });
  return [...new Set(all)].sort();
}

/**
 * The copy brings its own loader and libraries: it runs in an image of another libc (Alpine) or an older one, and what
 * it becomes or starts knows nothing of them. Only built-ins of the shell are used: the image may have no programs.
 */
const launcher = `#!/bin/sh
# Written by "pilotfish install": starts the copy of pilotfish in the folder lib beside this file, and becomes it.
self=$0
while [ -L "$self" ]; do
  to=$(readlink "$self")
  case $to in /*) self=$to ;; *) self=\${self%/*}/$to ;; esac
done
case $self in */*) lib=\${self%/*}/lib ;; *) lib=./lib ;; esac
tuned=
[ -n "\${MALLOC_ARENA_MAX+x}" ] || { export MALLOC_ARENA_MAX=1; tuned="$tuned MALLOC_ARENA_MAX"; }
[ -n "\${MALLOC_TRIM_THRESHOLD_+x}" ] || { export MALLOC_TRIM_THRESHOLD_=65536; tuned="$tuned MALLOC_TRIM_THRESHOLD_"; }
export PILOTFISH_TUNING="$tuned"
case \${1-} in wait) PILOTFISH_OPEN_FILES=$(ulimit -Sn) && export PILOTFISH_OPEN_FILES ;; esac
exec "$lib/loader" --library-path "$lib" "$lib/node" \\
  --max-semi-space-size=1 --max-old-space-size=64 --v8-pool-size=1 \\
  --no-concurrent-recompilation --no-concurrent-osr --no-concurrent-sparkplug "$lib/pilotfish.cjs" "$@"
`;
