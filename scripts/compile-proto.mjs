// Turns .proto files into the JSON that proto-loader's fromJSON reads, so that nothing parses .proto at run time.
//   node scripts/compile-proto.mjs            proto/ -> src/protocol/descriptors.json (committed)
//   node scripts/compile-proto.mjs --envoy    Envoy's API -> dist/envoy-descriptors.json (`pilotfish control-plane`)
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const require = createRequire(import.meta.url);
// protobufjs comes with @grpc/proto-loader; the copy beside it is the one that reads the JSON later.
const protobuf = createRequire(require.resolve("@grpc/proto-loader"))("protobufjs");

function* filesBelow(folder) {
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* filesBelow(path);
    else if (name.endsWith(".proto")) yield path;
  }
}

/** Imports that bring nothing but options for generators and validators. */
const onlyOptions = /annotations\/|annotations\.proto$|validate\/validate\.proto$|protobuf\/descriptor\.proto$/;

function parse(folders, files) {
  const tree = new protobuf.Root();
  tree.resolvePath = (origin, target) => {
    if (origin === "") return target;
    if (onlyOptions.test(target)) return null;
    for (const folder of [dirname(origin), ...folders]) {
      if (existsSync(join(folder, target))) return join(folder, target);
    }
    return protobuf.common.get(target) ? target : null;
  };
  tree.loadSync(files, { keepCase: false, alternateCommentMode: false });
  tree.resolveAll();
  return tree.toJSON({ keepComments: false });
}

/** Our own messages. */
export function ownDescriptors() {
  const folder = join(root, "proto");
  return parse([folder], [...filesBelow(folder)]);
}

/** Messages of other projects that the package does not carry; what needs them is left out. */
const elsewhere =
  /^import (public )?"(opencensus|opentelemetry|io\/prometheus|prometheus|cel|envoy\/config\/trace\/v3\/opencensus)/m;

/** All of Envoy's v3 API that the package @grpc/grpc-js-xds carries, without comments and validation rules. */
export function envoyDescriptors() {
  const deps = join(dirname(require.resolve("@grpc/grpc-js-xds/package.json")), "deps");
  const folders = ["envoy-api", "xds", "googleapis", "protoc-gen-validate"].map((name) => join(deps, name));
  const wanted = [...filesBelow(join(deps, "envoy-api/envoy"))]
    .filter((path) => /\/v3\//.test(path))
    .filter((path) => !elsewhere.test(readFileSync(path, "utf8")));
  return withoutOptions(parse(folders, wanted));
}

/** Options of fields and messages are for generators and validators; only "packed" says something about the wire. */
function withoutOptions(value) {
  if (Array.isArray(value) || typeof value !== "object" || value === null) return value;
  const out = {};
  for (const [key, inner] of Object.entries(value)) {
    if (key === "options") {
      if (inner?.packed !== undefined) out.options = { packed: inner.packed };
      if (inner?.proto3_optional !== undefined) out.options = { ...out.options, proto3_optional: true };
    } else if (key !== "comment") out[key] = withoutOptions(inner);
  }
  return out;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes("--envoy")) {
    const path = join(root, "dist/envoy-descriptors.json");
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.${process.pid}.new`, JSON.stringify(envoyDescriptors()));
    renameSync(`${path}.${process.pid}.new`, path);
  } else {
    const path = join(root, "src/protocol/descriptors.json");
    writeFileSync(path, JSON.stringify(ownDescriptors(), null, 2));
    execFileSync(join(root, "node_modules/.bin/biome"), ["format", "--write", relative(root, path)], { cwd: root });
  }
}
