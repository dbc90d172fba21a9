import { expect, test } from "vitest";
import { readSecretName } from "../../src/sds/file-secret-names.ts";

test.each([
  ["default", { is: "workload" }],
  ["ROOTCA", { is: "roots" }],
  ["file-root:system", { is: "system-roots" }],
  ["file-root:/etc/ca.pem", { is: "root-file", path: "/etc/ca.pem" }],
  ["file-cert:/a/cert.pem~/a/key.pem", { is: "pair", certificate: "/a/cert.pem", key: "/a/key.pem" }],
  ["file-cert:/a/cert.pem", { is: "unknown" }],
  ["file-cert:a~b~c", { is: "unknown" }],
  ["file-root:", { is: "unknown" }],
  ["kubernetes://credential", { is: "unknown" }],
  ["", { is: "unknown" }],
])("%s", (name, expected) => expect(readSecretName(name)).toEqual(expected));
