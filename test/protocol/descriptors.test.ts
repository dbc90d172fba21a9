import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
// @ts-expect-error: plain JavaScript, run by the build
import { ownDescriptors } from "../../scripts/compile-proto.mjs";
import { root } from "../helpers/paths.ts";

test("src/protocol/descriptors.json is what proto/ says (node scripts/compile-proto.mjs writes it)", () => {
  const committed: unknown = JSON.parse(readFileSync(join(root, "src/protocol/descriptors.json"), "utf8"));
  expect(committed).toEqual(JSON.parse(JSON.stringify(ownDescriptors())));
});
