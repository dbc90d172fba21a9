import { describeError, InvalidConfig, Unavailable } from "../foundation/errors.ts";
import { copyWhole, placeText } from "../system/copy-whole.ts";
import { ensureFolder } from "../system/ensure-folder.ts";
import { ownParts } from "../system/own-parts.ts";
import type { Call } from "./command.ts";
import { foldersOf, installPlan, type Placed } from "./install/install-plan.ts";

interface Done extends Pick<Placed, "part"> {
  readonly size: number;
  readonly copied: boolean;
}

/** `install DIR`: 0 when the copy is whole; 69 when it could not be written. Safe to run again, also while it is used. */
export async function run(call: Call): Promise<number> {
  const dir = readFolder(call.flags.positionals);
  const plan = installPlan(dir, ownParts());
  await Promise.resolve();
  try {
    for (const folder of [dir, ...foldersOf(plan, dir)]) ensureFolder(folder, 0o755, folder === dir);
    const done = plan.map((file): Done => ({ part: file.part, ...place(file) }));
    call.out(summary(dir, done));
    return 0;
  } catch (error) {
    throw new Unavailable(`cannot install into "${dir}": ${describeError(error)}; name a folder that we may write to`);
  }
}

function readFolder(words: readonly string[]): string {
  const [dir = "", ...more] = words;
  const text =
    dir === "" ? "no folder was given; write pilotfish install DIR" : `one folder is enough, not ${words.length}`;
  if (dir === "" || more.length > 0) throw new InvalidConfig([{ name: "DIR", text }], "cannot install");
  return dir.replace(/(?<=.)\/+$/, "");
}

const place = ({ to, content, mode }: Placed) =>
  "from" in content ? copyWhole(content.from, to, mode) : placeText(content.text, to, mode);

/** What lies there now and how large it is; which part of it is new. */
function summary(dir: string, done: readonly Done[]): string {
  const parts = [...new Set(done.map((one) => one.part))].map((part) => {
    const files = done.filter((one) => one.part === part);
    const fresh = files.some((one) => one.copied) ? "" : ", there already";
    return `  ${part}: ${megabytes(files)}${fresh}\n`;
  });
  const how = `run it as ${dir}/pilotfish wait … or ${dir}/pilotfish request …`;
  return `pilotfish: installed in ${dir}, ${megabytes(done)} in ${done.length} files:\n${parts.join("")}${how}\n`;
}

const megabytes = (files: readonly Done[]): string =>
  `${(files.reduce((sum, one) => sum + one.size, 0) / 1e6).toFixed(1)} MB`;
