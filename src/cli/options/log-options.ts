import type { Option } from "../command.ts";

const group = "Log";

/** pilot-agent's log flags, which it takes with every command; also before the command's name. */
export const logOptions: readonly Option[] = [
  {
    name: "log_as_json",
    kind: "boolean",
    group,
    summary: "One JSON object a line, Envoy's own lines in the same shape.",
  },
  {
    name: "log_output_level",
    kind: "string",
    placeholder: "[SCOPE:]LEVEL,…",
    default: "default:info",
    group,
    summary: "Levels by scope: debug, info, warn, error or none; the scope `all` sets every scope.",
  },
  {
    name: "log_caller",
    kind: "string",
    placeholder: "SCOPES",
    group,
    summary: "Scopes whose lines name the place in the code.",
    today: "accepted and ignored: every line names its scope.",
  },
  {
    name: "log_stacktrace_level",
    kind: "string",
    placeholder: "[SCOPE:]LEVEL,…",
    default: "default:none",
    group,
    summary: "From which level on a line carries a stack.",
    today: "accepted and ignored: a bug always shows its stack, other lines never do.",
  },
  {
    name: "log_target",
    kind: "string",
    placeholder: "PATH",
    default: "stdout",
    group,
    repeatable: true,
    summary: "Where the lines go.",
    today: "accepted and ignored: lines go to standard output.",
  },
  {
    name: "vklog",
    kind: "string",
    placeholder: "LEVEL",
    group,
    summary: "Verbosity of the Kubernetes client.",
    today: "accepted and ignored: there is no Kubernetes client.",
  },
];
