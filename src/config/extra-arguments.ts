import type { Problems } from "../foundation/problems.ts";

/** Flags that we set ourselves, and those that would break what we do with Envoy. */
const ours: Readonly<Record<string, string>> = {
  "-c": "--customConfigFile",
  "--config-path": "--customConfigFile",
  "--config-yaml": "ISTIO_BOOTSTRAP_OVERRIDE",
  "--restart-epoch": "nothing: epochs are counted by pilotfish",
  "--base-id": "--base-id before `--`",
  "--use-dynamic-base-id": "nothing: pilotfish chooses it",
  "--base-id-path": "nothing: pilotfish chooses it",
  "--disable-hot-restart": "nothing: pilotfish decides it",
  "--socket-path": "nothing: pilotfish chooses it",
  "--socket-mode": "nothing: pilotfish chooses it",
  "--skip-hot-restart-on-no-parent": "nothing: pilotfish decides it",
  "--skip-hot-restart-parent-stats": "nothing: pilotfish decides it",
  "--drain-time-s": "--drainDuration",
  "--parent-shutdown-time-s": "--parentShutdownDuration",
  "--drain-strategy": "nothing: pilotfish decides it",
  "--admin-address-path": "nothing: pilotfish needs it",
  "--mode": "`pilotfish bootstrap --validate`",
  "--version": "`pilotfish version`",
  "--hot-restart-version": "nothing: pilotfish asks for it itself",
  "-h": "nothing: it would print help and end",
  "--help": "nothing: it would print help and end",
  "-l": "--proxyLogLevel",
  "--log-level": "--proxyLogLevel",
  "--component-log-level": "--proxyComponentLogLevel",
  "--concurrency": "--concurrency before `--`",
  "--service-cluster": "--service-cluster before `--`",
  "--service-node": "--service-node before `--`",
  "--local-address-ip-version": "nothing: it follows the pod's addresses",
  "--file-flush-interval-msec": "ProxyConfig's fileFlushInterval",
  "--file-flush-min-size-kb": "ProxyConfig's fileFlushMinSizeKb",
};

/**
 * Arguments for Envoy behind `--`, judged before anything starts: Envoy would end with "parse error" otherwise, and a
 * replaced Envoy must not meet what the first one did not (features.md CLI-23, 3.6).
 */
export function checkExtraArguments(words: readonly string[], problems: Problems): readonly string[] {
  const seen = new Set<string>();
  for (const word of words) {
    if (!word.startsWith("-") || word === "-" || /^-\d/.test(word)) continue;
    const name = word.startsWith("--") ? (word.split("=")[0] ?? word) : word.slice(0, 2);
    const instead = ours[name];
    if (word === "--") problems.add("-- --", "a second `--` would end Envoy's own flags; leave it out");
    else if (instead !== undefined) problems.add(`-- ${word}`, `pilotfish sets this one itself; use ${instead}`);
    else if (word.includes("=")) problems.add(`-- ${word}`, `Envoy takes no "="; write the value as the next word`);
    else if (name !== word)
      problems.add(`-- ${word}`, `Envoy takes no value glued to a flag; write it as the next word`);
    else if (seen.has(name) && name !== "--stats-tag")
      problems.add(`-- ${word}`, "Envoy refuses a flag given twice; give it once");
    seen.add(name);
  }
  return words;
}
