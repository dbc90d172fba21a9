import { describe, expect, test } from "vitest";
import { allowOf, findRoute, parseTarget, type Route, takes } from "../../src/status/routes.ts";

const route = (path: string, method: Route["method"] = "GET"): Route => ({
  path,
  method,
  access: "everybody",
  limit: 1_000,
  atOnce: 1,
  serve: () => undefined,
});

describe("parseTarget", () => {
  test.each([
    ["/healthz/ready", "/healthz/ready", ""],
    ["/healthz/ready?verbose", "/healthz/ready", "verbose="],
    ["/a?b=1&c=%20x", "/a", "b=1&c=+x"],
    ["/a?b?c", "/a", "b%3Fc="],
    ["http://127.0.0.1:15020/drain?x=1", "/drain", "x=1"],
    ["HTTPS://h/drain", "/drain", ""],
    // Nothing is decoded or tidied: two spellings of one path are two paths.
    ["/%64rain", "/%64rain", ""],
    ["/a/../drain", "/a/../drain", ""],
    ["//drain", "//drain", ""],
  ])("%s", (url, path, query) => {
    const target = parseTarget(url);
    expect(target).toMatchObject({ is: "target", path });
    expect(target.is === "target" && target.query.toString()).toBe(query);
  });

  test.each([
    ["", 400],
    ["*", 400],
    ["drain", 400],
    ["http://host", 400],
    ["ftp://host/drain", 400],
    ["host:443", 400],
    [`/${"a".repeat(4_096)}`, 414],
    [undefined, 400],
  ])("%s is refused with %d", (url, status) => {
    expect(parseTarget(url)).toMatchObject({ is: "refused", status });
  });
});

describe("findRoute", () => {
  const routes = [route("/a"), route("/app-health/"), route("/app-health/exact"), route("/")];
  test.each([
    ["/a", "/a"],
    ["/a/", undefined],
    ["/app-health/web/livez", "/app-health/"],
    ["/app-health/exact", "/app-health/exact"],
    ["/app-health", undefined],
    ["/", "/"],
    ["/b", undefined],
    ["/%61", undefined],
  ])("%s -> %s", (path, found) => {
    expect(findRoute(routes, path)?.path).toBe(found);
  });
});

test("methods", () => {
  expect(["GET", "HEAD", "POST", "PUT", undefined].map((one) => takes(route("/a"), one))).toEqual([
    true,
    true,
    false,
    false,
    false,
  ]);
  expect(["GET", "HEAD", "POST"].map((one) => takes(route("/a", "POST"), one))).toEqual([false, false, true]);
  expect([allowOf(route("/a")), allowOf(route("/a", "POST"))]).toEqual(["GET, HEAD", "POST"]);
});
