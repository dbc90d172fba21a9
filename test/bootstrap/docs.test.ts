import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { partTemplates } from "../../src/bootstrap/built-in-templates.ts";
import { templateValues } from "../../src/bootstrap/template-values.ts";
import { noChoices } from "../../src/bootstrap/user-choices.ts";
import { Problems } from "../../src/foundation/problems.ts";
import { root } from "../helpers/paths.ts";
import { configFixture } from "./config-fixture.ts";

const page = readFileSync(join(root, "docs/bootstrap.md"), "utf8");
const values = templateValues(configFixture(), noChoices, new Problems());

const section = page.slice(page.indexOf("## Your own template"), page.indexOf("## Your own file"));

/** The row of the section's table that begins with this name. */
const row = (name: string): string =>
  section.split("\n").find((line) => line.startsWith("| ") && line.split("|")[1]?.includes(`\`${name}\``)) ?? "";

describe("docs/bootstrap.md", () => {
  test.each([...Object.keys(values), "builtin", "parts", "sdsConfig"])("lists the name %s", (name) => {
    expect(row(name)).not.toBe("");
  });

  test.each(["node", "pod", "ports", "sockets", "stats"] as const)("lists every field of %s", (name) => {
    for (const field of Object.keys(values[name])) expect(row(name)).toContain(`\`${field}\``);
  });

  test("lists every part", () => {
    for (const part of Object.keys(partTemplates)) expect(row("parts")).toContain(`\`${part}\``);
  });

  test("every template file is built in", () => {
    const files = readdirSync(join(root, "bootstrap-templates"), { recursive: true }).map(String);
    const source = readFileSync(join(root, "src/bootstrap/built-in-templates.ts"), "utf8");
    for (const file of files.filter((one) => one.endsWith(".json")))
      expect(source).toContain(`bootstrap-templates/${file}"`);
  });
});
