// Turns src/metrics/line-runs/assembly (AssemblyScript) into the WebAssembly that the bundle carries, as a text in
// src/metrics/line-runs/binary.ts. That file is committed, so that nobody but who changes the source needs the compiler.
//   node scripts/compile-line-runs.mjs
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const target = join(root, "src/metrics/line-runs/binary.ts");

/** Memory: 34 pages of 64 kB, brought by the caller (line-room.ts); the first 2,048 bytes are the program's own. */
const options = [
  ["--optimizeLevel", "3", "--noAssert", "--runtime", "stub", "--use", "abort="],
  ["--enable", "simd", "--enable", "bulk-memory"],
  ["--importMemory", "--initialMemory", "34", "--maximumMemory", "34", "--memoryBase", "896"],
].flat();

/** The text of binary.ts as the source gives it. */
export async function compiledLineRuns() {
  const folder = mkdtempSync(join(tmpdir(), "line-runs-"));
  try {
    const out = join(folder, "line-runs.wasm");
    const source = join(root, "src/metrics/line-runs/assembly/index.ts");
    const { error } = await asc.main([source, "--outFile", out, ...options], { stderr: process.stderr });
    if (error !== null) throw new Error("cannot compile the line runs", { cause: error });
    return text(readFileSync(out).toString("base64"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const text = (
  base64,
) => `// Written by \`node scripts/compile-line-runs.mjs\` from assembly/index.ts; a test compares. Do not edit.

/** The WebAssembly module, in base64. */
export const lineRunsBinary =
  "${base64}";
`;

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(target, await compiledLineRuns());
