// Writes docs/cli.md and docs/environment.md from the tables in the code, and the tables in docs/architecture.md.
//   npm run docs
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commands } from "../src/cli/commands.ts";
import { architecturePage } from "./architecture-text.ts";
import { cliPage, environmentPage } from "./docs-text.ts";

const docs = join(import.meta.dirname, "../docs");
writeFileSync(join(docs, "cli.md"), cliPage(commands));
writeFileSync(join(docs, "environment.md"), environmentPage());
const architecture = join(docs, "architecture.md");
writeFileSync(architecture, architecturePage(readFileSync(architecture, "utf8")));
