import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { agreeOnCoding, agreeOnForm } from "../../../src/metrics/negotiate.ts";
import { type Rig, startRig } from "./scrape-rig.ts";

const open = "application/openmetrics-text";
const text = "text/plain";

describe("the form that Accept allows", () => {
  test.each([
    [undefined, "text/plain; version=0.0.4; charset=utf-8"],
    ["", "text/plain; version=0.0.4; charset=utf-8"],
    ["*/*", "text/plain; version=0.0.4; charset=utf-8"],
    [open, "application/openmetrics-text; version=1.0.0; charset=utf-8"],
    [`${open};version=0.0.1`, "application/openmetrics-text; version=0.0.1; charset=utf-8"],
    [`${open};version=2.0.0`, "text/plain; version=0.0.4; charset=utf-8"],
    // The first of equals, the best of others.
    [`${open},${text}`, "application/openmetrics-text; version=1.0.0; charset=utf-8"],
    [`${text},${open}`, "text/plain; version=0.0.4; charset=utf-8"],
    [`${open};q=0.4,${text};q=0.5`, "text/plain; version=0.0.4; charset=utf-8"],
    [`${text};q=0.4,${open};q=0.5`, "application/openmetrics-text; version=1.0.0; charset=utf-8"],
    [`${text};q=0.5,${open}`, "application/openmetrics-text; version=1.0.0; charset=utf-8"],
    [`${text};q=0.9,${open};q=0.10`, "text/plain; version=0.0.4; charset=utf-8"],
    [`${open};q=0.5,*/*`, "text/plain; version=0.0.4; charset=utf-8"],
    [`${open};q=0.5,text/*;q=0.4`, "application/openmetrics-text; version=1.0.0; charset=utf-8"],
    [`text/*,${open};q=0.5`, "text/plain; version=0.0.4; charset=utf-8"],
    // Refused, or no number.
    [`${open};q=0`, "text/plain; version=0.0.4; charset=utf-8"],
    [`${open};q=0,${text};q=0.1`, "text/plain; version=0.0.4; charset=utf-8"],
    [`${open};q=0.000,${open};version=0.0.1;q=0.001`, "application/openmetrics-text; version=0.0.1; charset=utf-8"],
    [`${open};q=x,${text};q=0.1`, "text/plain; version=0.0.4; charset=utf-8"],
    // As Prometheus 3 asks: what we do not have is passed over, whatever its weight.
    [
      `application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,${open};version=1.0.0;escaping=allow-utf-8;q=0.6,${open};version=1.0.0;q=0.5,${text};version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.2`,
      "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
    ],
    [
      `${open};version=1.0.0;escaping=allow-utf-8;q=0.3,${text};version=1.0.0;escaping=underscores;q=0.4`,
      "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
    ],
  ])("%s", (accept, contentType) => {
    expect(agreeOnForm(accept).contentType).toBe(contentType);
  });
});

const codings: readonly (readonly [header: string | undefined, coding: string | undefined])[] = [
  [undefined, undefined],
  ["", undefined],
  ["br", undefined],
  ["*", undefined],
  ["gzip", "gzip"],
  ["GZIP", "gzip"],
  ["zstd", "zstd"],
  // Equally welcome: zstd, wherever it stands. Else the better one.
  ["gzip, zstd", "zstd"],
  ["br, gzip;q=0.5, zstd;q=0.5", "zstd"],
  ["gzip, zstd;q=0.9", "gzip"],
  ["gzip;q=0.2, zstd;q=0.3", "zstd"],
  ["gzip;q=0.3, zstd;q=0.2", "gzip"],
  // The page as it is, where it is preferred.
  ["identity", undefined],
  ["identity, gzip;q=0.5", undefined],
  ["gzip;q=0.5, identity", undefined],
  ["identity;q=0.5, gzip", "gzip"],
  ["identity, gzip", undefined],
  ["gzip, identity", "gzip"],
  ["identity;q=0.5, gzip;q=0.4, zstd;q=0.1", undefined],
  // Refused by name, or with the rest.
  ["gzip;q=0", undefined],
  ["gzip;q=0, zstd", "zstd"],
  ["gzip;q=0, *", undefined],
  ["*;q=0", undefined],
  ["gzip, *;q=0", "gzip"],
  ["identity;q=0", undefined],
  ["identity;q=0, gzip", "gzip"],
  ["identity;q=0, *", "gzip"],
  ["*, identity;q=0.0", "gzip"],
  ["identity;q=0, *;q=0.1", "gzip"],
  ["identity;q=0, gzip;q=0, *", "zstd"],
  ["identity;q=0, gzip;q=0, zstd;q=0, *", undefined],
  ["identity;q=0, *;q=0", undefined],
  ["identity;q=0, zstd;q=0.1, *", "zstd"],
];

describe("the coding that Accept-Encoding allows", () => {
  test.each(codings)("%s: %s", (acceptEncoding, coding) => {
    expect(agreeOnCoding(acceptEncoding)).toBe(coding);
  });
});

describe("the page", () => {
  let rig: Rig;
  beforeEach(async () => {
    rig = await startRig({ applications: ["# TYPE x gauge\nx 1\n"] });
  });
  afterEach(() => rig.done());

  test.each(codings)("comes as was agreed for %s: %s", async (header, coding) => {
    const { headers, body } = await rig.scrape(header === undefined ? {} : { "accept-encoding": header });
    expect(headers["content-encoding"]).toBe(coding);
    const plain = coding === "gzip" ? gunzipSync(body) : coding === "zstd" ? zstdDecompressSync(body) : body;
    expect(plain.toString()).toContain("\nx 1\n");
  });
});
