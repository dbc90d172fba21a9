import type { Problem } from "../foundation/errors.ts";
import { Problems } from "../foundation/problems.ts";
import type { Option, ParsedFlags } from "./command.ts";

export interface Parsed {
  readonly flags: ParsedFlags & { readonly problems: readonly Problem[] };
  /** `-h` or `--help` stood somewhere before `--`. */
  readonly help: boolean;
}

/**
 * Words and a table in, values out; nothing is judged but whether the words can be taken apart. The rules are those of
 * Go's pflag, which pilot-agent uses: `--name value`, `--name=value`, `-x value`, `-x=value`, `-xvalue`, `-ab` for
 * booleans; a boolean takes a value only by `=`; an unknown flag takes the next word if that does not begin with `-`.
 * One more than pflag: a flag and its value in one word (`"-c /etc/envoy/envoy.yaml"` of hand-written manifests).
 */
export function parseArguments(words: readonly string[], options: readonly Option[]): Parsed {
  const parser = new Parser(options);
  const end = parser.take(words);
  const rest = end < words.length ? words.slice(end + 1) : undefined;
  return {
    flags: {
      values: parser.values,
      positionals: parser.positionals,
      rest,
      unknown: parser.unknown,
      problems: parser.problems.all,
    },
    help: parser.help,
  };
}

class Parser {
  readonly values = new Map<string, string[]>();
  readonly positionals: string[] = [];
  readonly unknown: string[] = [];
  readonly problems = new Problems();
  help = false;
  readonly #long = new Map<string, Option>();
  readonly #short = new Map<string, Option>();

  constructor(options: readonly Option[]) {
    for (const option of options) {
      this.#long.set(option.name, option);
      if (option.short !== undefined) this.#short.set(option.short, option);
    }
  }

  /** Takes all words up to `--`; the result is its place, or the number of words. */
  take(words: readonly string[]): number {
    for (let at = 0; at < words.length; ) {
      const word = words[at] ?? "";
      if (word === "--") return at;
      at += this.#takeGlued(word) ? 1 : 1 + this.#takeWord(word, words[at + 1]);
    }
    return words.length;
  }

  /** `-c /file` in one word: when a blank stands behind a flag's name, what follows is the value. */
  #takeGlued(word: string): boolean {
    const [, flag, text] = /^(--?[^\s=]+)\s+(.*)$/s.exec(word) ?? [];
    if (flag === undefined || text === undefined) return false;
    const option = flag.startsWith("--") ? this.#long.get(flag.slice(2)) : this.#short.get(flag.slice(1));
    if (option !== undefined) this.#takeOption(option, flag, text.trim(), undefined);
    else if (flag.startsWith("--")) this.unknown.push(flag);
    return option !== undefined || flag.startsWith("--");
  }

  /** Takes one word; the result says whether it used the next one too. */
  #takeWord(word: string, next: string | undefined): 0 | 1 {
    if (word.startsWith("--")) return this.#takeLong(word, next);
    if (word.startsWith("-") && word !== "-") return this.#takeShort(word.slice(1), next);
    this.#positional(word);
    return 0;
  }

  #takeLong(word: string, next: string | undefined): 0 | 1 {
    const [, name = "", value] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    const option = this.#long.get(name);
    if (option !== undefined) return this.#takeOption(option, `--${name}`, value, next);
    if (name === "help") {
      this.help = true;
      return 0;
    }
    return this.#takeUnknown(`--${name}`, value !== undefined, next);
  }

  /** One-letter flags, possibly several in one word. */
  #takeShort(letters: string, next: string | undefined): 0 | 1 {
    const letter = letters[0] ?? "";
    const more = letters.slice(1);
    const option = this.#short.get(letter);
    if (option === undefined && letter === "h") {
      this.help = true;
      return 0;
    }
    if (option === undefined) return this.#takeUnknown(`-${letters}`, more.includes("="), next);
    if (more.startsWith("=")) return this.#takeOption(option, `-${letter}`, more.slice(1), next);
    if (option.kind !== "boolean") return this.#takeOption(option, `-${letter}`, more === "" ? undefined : more, next);
    this.#add(option, "true");
    return more === "" ? 0 : this.#takeShort(more, next);
  }

  #takeOption(option: Option, spelled: string, value: string | undefined, next: string | undefined): 0 | 1 {
    if (value === undefined && option.kind === "boolean") {
      this.#add(option, "true");
      return 0;
    }
    const text = value ?? next;
    if (text === undefined)
      this.problems.add(spelled, `needs a value; write ${spelled} ${option.placeholder ?? "VALUE"}`);
    else if (this.#expanded(spelled, text)) this.#add(option, text);
    return value === undefined && next !== undefined ? 1 : 0;
  }

  #takeUnknown(spelled: string, hasValue: boolean, next: string | undefined): 0 | 1 {
    this.unknown.push(spelled);
    return !hasValue && next !== undefined && !next.startsWith("-") ? 1 : 0;
  }

  #positional(word: string): void {
    if (this.#expanded("argument", word)) this.positionals.push(word);
  }

  #add(option: Option, value: string): void {
    const before = this.values.get(option.name);
    if (before === undefined) this.values.set(option.name, [value]);
    else before.push(value);
  }

  /** The kubelet expands the `$(NAME)` that it knows and passes on the others as they are. */
  #expanded(spelled: string, value: string): boolean {
    const left = [...value.matchAll(/\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)/g)].map((found) => found[1]);
    for (const name of new Set(left)) {
      this.problems.add(
        spelled,
        `"${value}" has an unexpanded $(${name}); set the variable ${name} in the container's env`,
      );
    }
    return left.length === 0;
  }
}
