// Writes docs/cli.md and docs/environment.md from the tables in the code.
//   npm run docs
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { commands } from "../src/cli/commands.ts";
import { cliPage, environmentPage } from "./docs-text.ts";

const docs = join(import.meta.dirname, "../docs");
writeFileSync(join(docs, "cli.md"), cliPage(commands));
writeFileSync(join(docs, "environment.md"), environmentPage());
