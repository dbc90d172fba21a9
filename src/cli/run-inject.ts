import { describeError, InvalidConfig, type Problem, Unavailable } from "../foundation/errors.ts";
import { explain } from "../inject/explain.ts";
import { injectText, type TextResult } from "../inject/inject-text.ts";
import type { InjectorConfig, Mode } from "../inject/injector-config.ts";
import { parseInjectorConfig } from "../inject/injector-config-text.ts";
import { textDifference } from "../inject/text-difference.ts";
import { readText, writeWhole } from "../system/files.ts";
import { isTerminal, readStandardInput } from "../system/standard-input.ts";
import { buildInfo } from "./build-info.ts";
import type { Call, ParsedFlags } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";

/** `inject`: files in, files out; every problem of every file at once. */
export async function run(call: Call): Promise<number> {
  await Promise.resolve();
  const problems: Problem[] = [];
  const { flags } = call;
  const config = configFor(flags, problems);
  const mode = modeOf(flags, problems);
  const files = filesOf(flags, problems);
  if (problems.length > 0) throw new InvalidConfig(problems, "cannot inject");
  const remove = asked(flags, "remove");
  const namespace = last(flags, "namespace") ?? "default";
  const results = files.map(({ path, text }) => ({
    path,
    result: injectText(text, { path, namespace, mode, remove }, config),
  }));
  for (const { result } of results) problems.push(...result.problems);
  if (problems.length > 0) throw new InvalidConfig(problems, "cannot inject");
  for (const { result } of results) warn(result, call);
  return write(results, call);
}

const last = (flags: ParsedFlags, name: string): string | undefined => flags.values.get(name)?.at(-1);
const asked = (flags: ParsedFlags, name: string): boolean => last(flags, name) === "true";

function configFor(flags: ParsedFlags, problems: Problem[]): InjectorConfig {
  const path = last(flags, "config");
  const text = path === undefined ? undefined : fileText(path, problems);
  const sets = flags.values.get("set") ?? [];
  return parseInjectorConfig({ text, path: path ?? "", sets, version: buildInfo().version }, problems);
}

function modeOf(flags: ParsedFlags, problems: Problem[]): Mode | undefined {
  const [native, classic] = [asked(flags, "native"), asked(flags, "classic")];
  if (native && classic) problems.push({ name: "--classic", text: "it cannot be used together with --native" });
  return native ? "native" : classic ? "classic" : undefined;
}

interface InputFile {
  readonly path: string;
  readonly text: string;
}

function filesOf(flags: ParsedFlags, problems: Problem[]): readonly InputFile[] {
  const paths = [...(flags.values.get("filename") ?? []), ...flags.positionals];
  if (paths.length === 0) problems.push({ name: "-f", text: "no file was given; name one, or - for standard input" });
  return paths.flatMap((path): readonly InputFile[] => {
    if (path === "-") return [{ path: "standard input", text: readStandardInput() }];
    const text = fileText(path, problems);
    return text === undefined ? [] : [{ path, text }];
  });
}

function fileText(path: string, problems: Problem[]): string | undefined {
  try {
    const text = readText(path, 64 * 1024 * 1024);
    if (text === undefined) problems.push({ name: path, text: "there is no such file" });
    return text;
  } catch (error) {
    problems.push({ name: path, text: `it cannot be read: ${describeError(error)}` });
    return undefined;
  }
}

function warn(result: TextResult, call: Call): void {
  for (const { outcome, place, notes } of result.reports) {
    const name = `${outcome.owner.kind} ${outcome.owner.name}`.trim();
    for (const one of notes) call.err(`${one.place}: ${one.note.level}: ${one.note.text}\n`);
    if (outcome.done.kind === "left-alone") call.err(`${place}: ${name} is left alone: ${outcome.done.why.text}\n`);
  }
}

interface FileResult {
  readonly path: string;
  readonly result: TextResult;
}

function write(results: readonly FileResult[], call: Call): number {
  const explained = asked(call.flags, "explain");
  const diff = asked(call.flags, "diff");
  const output = last(call.flags, "output");
  if (explained) for (const { result } of results) call.out(explanation(result));
  if (diff) for (const { path, result } of results) call.out(differenceOf(path, result));
  if ((explained || diff) && output === undefined) return exitCodes.ok;
  const text = results
    .map(({ result }, index) => (index === 0 ? "" : separatorFor(result.text)) + result.text)
    .join("");
  if (output === undefined) call.out(text);
  else writeFile(output, text);
  return exitCodes.ok;
}

const separatorFor = (text: string): string => (/^---(\s|$)/.test(text) ? "" : "---\n");

function writeFile(path: string, text: string): void {
  try {
    writeWhole(path, text, 0o644);
  } catch (error) {
    throw new Unavailable(`cannot write "${path}": ${describeError(error)}`);
  }
}

const differenceOf = (path: string, result: TextResult): string =>
  textDifference(
    result.documents.map(({ before, text }) => [before, text] as const),
    { name: path, colour: isTerminal(1) },
  );

function explanation(result: TextResult): string {
  return result.documents
    .filter(({ operations }) => operations.length > 0)
    .map(({ operations, after }) => {
      const name = `${textIn(after, "kind")} ${textIn(after?.["metadata"], "name")}`.trim();
      const reasons = explain(operations, after ?? null).map(({ what, why }) => `  ${what}\n      ${why}\n`);
      return `${name}\n${reasons.join("")}`;
    })
    .join("");
}

const textIn = (value: unknown, key: string): string => {
  const text: unknown = typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
  return typeof text === "string" ? text : "";
};
