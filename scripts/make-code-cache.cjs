// Writes what V8 has made of dist/pilotfish.cjs once it rendered a bootstrap, for bin/start.cjs. It fits this Node and
// the flags that this Node was called with, so call it with those of bin/pilotfish.
//   node FLAGS scripts/make-code-cache.cjs BUNDLE CACHE
"use strict";
const { readFileSync, renameSync, writeFileSync } = require("node:fs");
const Module = require("node:module");
const { dirname, resolve } = require("node:path");
const { constants, Script } = require("node:vm");

const [, , bundle, cache] = process.argv;
const file = resolve(bundle);
const text = readFileSync(file, "latin1");
const script = new Script(Module.wrap(text), {
  filename: file,
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
});
process.once("exit", (code) => {
  if (code !== 0) return;
  const temporary = `${cache}.${process.pid}`;
  writeFileSync(temporary, Buffer.concat([Buffer.from(text.slice(-32), "latin1"), script.createCachedData()]));
  renameSync(temporary, cache);
});
process.argv = [process.argv[0], file, "bootstrap", "sidecar"];
const own = { exports: {} };
script.runInThisContext().call(own.exports, own.exports, Module.createRequire(file), own, file, dirname(file));
