import type { Command, Option } from "./command.ts";

/** Scripts from the tables: nothing is asked of the program while a person types. */
export const completionScripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;
export type Shell = keyof typeof completionScripts;

const shown = (table: readonly Command[]): readonly Command[] => table.filter((one) => one.hidden !== true);
const visible = (command: Command): readonly Option[] => command.options.filter((one) => one.hidden !== true);

/** `--name`, with `=` where the flag takes a value, so that the cursor stays behind it. */
const flagWords = (command: Command): string =>
  [...visible(command).map((one) => `--${one.name}${one.kind === "boolean" ? "" : "="}`), "--help"].join(" ");

function bashScript(table: readonly Command[]): string {
  const cases = shown(table).map(
    (command) => `    ${[command.name, ...(command.aliases ?? [])].join("|")}) words="${flagWords(command)}" ;;`,
  );
  return `# bash completion for pilotfish
_pilotfish() {
  local current=\${COMP_WORDS[COMP_CWORD]} words=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${shown(table)
      .map((one) => one.name)
      .join(" ")}" -- "$current"))
    return
  fi
  case \${COMP_WORDS[1]} in
${cases.join("\n")}
  esac
  case $current in
    -*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
    *) COMPREPLY=($(compgen -f -- "$current")) ;;
  esac
  case \${COMPREPLY[0]-} in *=) compopt -o nospace 2>/dev/null ;; esac
}
complete -F _pilotfish pilotfish pilot-agent
`;
}

function zshScript(table: readonly Command[]): string {
  const commands = shown(table).map((one) => `    ${zshWord(`${one.name}:${one.summary}`)}`);
  const cases = shown(table).map((command) => {
    const flags = visible(command).map((one) => {
      const value = one.kind === "boolean" ? "" : `:${one.placeholder ?? "value"}:_files`;
      return `        ${zshWord(`--${one.name}${one.kind === "boolean" ? "" : "="}[${zshText(one.summary)}]${zshColons(value)}`)}`;
    });
    return `      ${command.name})\n        _arguments \\\n${[...flags, "        '*:file:_files'"].join(" \\\n")}\n        ;;`;
  });
  return `#compdef pilotfish pilot-agent
_pilotfish() {
  local -a commands
  commands=(
${commands.join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local name=\${words[2]}
  shift words
  (( CURRENT-- ))
  case $name in
${cases.join("\n")}
  esac
}
if [ "$funcstack[1]" = "_pilotfish" ]; then _pilotfish "$@"; else compdef _pilotfish pilotfish pilot-agent; fi
`;
}

/** Brackets and colons mean something in the words of _arguments. */
const zshText = (text: string): string => text.replaceAll(/[[\]:]/g, (sign) => `\\${sign}`);
const zshColons = (text: string): string => text.replaceAll(/[[\]]/g, (sign) => `\\${sign}`);
const zshWord = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function fishScript(table: readonly Command[]): string {
  const lines = shown(table).flatMap((command) => {
    const here = `__fish_seen_subcommand_from ${command.name}`;
    return [
      `complete -c pilotfish -n __fish_use_subcommand -f -a ${command.name} -d ${fishWord(command.summary)}`,
      ...visible(command).map((one) => {
        const short = one.short === undefined ? "" : ` -s ${one.short}`;
        const value = one.kind === "boolean" ? "" : " -r";
        return `complete -c pilotfish -n '${here}' -l ${one.name}${short}${value} -d ${fishWord(one.summary)}`;
      }),
    ];
  });
  return `# fish completion for pilotfish\n${lines.join("\n")}\ncomplete -c pilot-agent -w pilotfish\n`;
}

const fishWord = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
