// Runs dist/pilotfish.cjs with the code that V8 made of it at build time: compiling a megabyte of text again would be
// a third of every start. Without that file, with one of another build or of another Node, the text is compiled.
"use strict";
const { readFileSync } = require("node:fs");
const Module = require("node:module");
const { join } = require("node:path");
const { constants, Script } = require("node:vm");

const file = join(__dirname, "../dist/pilotfish.cjs");
/** The last line of the bundle and the first bytes of the cache tell that they belong together; V8 looks at the length only. */
const MARK = 32;

function codeOf(mark) {
  try {
    const kept = readFileSync(join(__dirname, "../dist/pilotfish.cache"));
    return kept.latin1Slice(0, MARK) === mark ? kept.subarray(MARK) : undefined;
  } catch {
    // Not made, or not copied along.
    return undefined;
  }
}

/** In a function of its own, and joined as bytes: nothing but the one text that V8 needs stays in memory. */
function compiled() {
  const [before, after] = Module.wrap("\0").split("\0");
  const body = readFileSync(file);
  const cachedData = codeOf(body.latin1Slice(body.length - MARK));
  // ASCII, as the build has made sure.
  const text = Buffer.concat([Buffer.from(before), body, Buffer.from(after)]).latin1Slice();
  const importModuleDynamically = constants.USE_MAIN_CONTEXT_DEFAULT_LOADER;
  return new Script(text, { filename: file, cachedData, importModuleDynamically }).runInThisContext();
}

// For everybody else the bundle was started as it is.
process.argv[1] = file;
const own = { exports: {} };
compiled().call(own.exports, own.exports, Module.createRequire(file), own, file, join(file, ".."));
