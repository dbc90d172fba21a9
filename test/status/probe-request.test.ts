import { describe, expect, test } from "vitest";
import type { HttpProber } from "../../src/status/app-probers.ts";
import { afterAnswer, firstRequest, type ProbeRequest } from "../../src/status/probe-request.ts";

const prober = (more: Partial<HttpProber> = {}): HttpProber => ({
  kind: "http",
  scheme: "http",
  path: "/live?x=1",
  port: 8080,
  timeout: 1_000,
  headers: [],
  ...more,
});
const caller = (host: string | undefined, ...rawHeaders: readonly string[]) => ({ host, rawHeaders });

describe("first request", () => {
  test.each([
    ["10.0.0.1:15020", "10.0.0.1:8080"],
    ["[fd00::1]:15020", "[fd00::1]:8080"],
    ["app.example:15020", "app.example:8080"],
    ["app.example", "app.example"],
    ["app.example:80", "app.example:80"],
    ["", "10.0.0.1:8080"],
    [undefined, "10.0.0.1:8080"],
  ])("Host %s becomes %s", (host, expected) => {
    expect(firstRequest(prober(), "10.0.0.1", caller(host), 15_020).host).toBe(expected);
  });

  test("the caller's headers go on, but not those of its connection", () => {
    const raw = [
      "Host",
      "h",
      "User-Agent",
      "kube-probe/1.33",
      "X-Two",
      "1",
      "x-two",
      "2",
      "Connection",
      "close",
      "Accept",
      "*/*",
    ];
    const more = ["Content-Length", "0", "Transfer-Encoding", "chunked", "Upgrade", "h2c", "TE", "trailers"];
    expect(firstRequest(prober(), "h", caller("h", ...raw, ...more), 0).headers).toEqual([
      ["User-Agent", "kube-probe/1.33"],
      ["X-Two", "1"],
      ["x-two", "2"],
      ["Accept", "*/*"],
    ]);
  });

  test("the probe's own headers are added where the caller brought none", () => {
    const own = prober({
      headers: [
        ["Host", "virtual.example"],
        ["X-Token", "a"],
        ["X-Token", "b"],
        ["accept", "text/plain"],
      ],
    });
    const request = firstRequest(own, "h", caller("10.0.0.1:15020", "Accept", "*/*"), 15_020);
    expect(request.headers).toEqual([
      ["Accept", "*/*"],
      ["X-Token", "a"],
      ["X-Token", "b"],
    ]);
    expect(request.host).toBe("virtual.example");
  });
});

describe("after an answer", () => {
  const request: ProbeRequest = {
    target: { scheme: "http", hostname: "10.0.0.1", port: 8080, path: "/live/deep?x=1" },
    host: "virtual.example",
    headers: [["X-A", "b"]],
  };
  const next = (location: string, status = 302, made = 1) => afterAnswer(request, status, location, made);

  test.each([
    ["/other?y=2", "http", 8080, "/other?y=2", "virtual.example"],
    ["other", "http", 8080, "/live/other", "virtual.example"],
    ["?z=3", "http", 8080, "/live/deep?z=3", "virtual.example"],
    ["http://10.0.0.1:8080/x", "http", 8080, "/x", "10.0.0.1:8080"],
    ["http://10.0.0.1/x#part", "http", 80, "/x", "10.0.0.1"],
    ["https://10.0.0.1:8443/x", "https", 8443, "/x", "10.0.0.1:8443"],
    ["HTTPS://10.0.0.1", "https", 443, "/", "10.0.0.1"],
    ["//10.0.0.1:9/x", "http", 9, "/x", "virtual.example"],
  ] as const)("%s is followed", (location, scheme, port, path, host) => {
    expect(next(location)).toEqual({
      is: "next",
      request: {
        target: { scheme, hostname: "10.0.0.1", port, path },
        host,
        headers: [
          ["X-A", "b"],
          ["referer", "http://10.0.0.1:8080/live/deep?x=1"],
        ],
      },
    });
  });

  test.each([
    [200, "/x", "final"],
    [204, undefined, "final"],
    [404, undefined, "final"],
    [503, "/x", "final"],
    [301, "/x", "next"],
    [303, "/x", "next"],
    [307, "/x", "next"],
    [308, "/x", "next"],
    [302, undefined, "success"],
    [302, "", "success"],
    [300, "/x", "success"],
    [304, "/x", "success"],
    [305, "/x", "success"],
    [302, "http://elsewhere.example/x", "success"],
    [302, "http://virtual.example/x", "success"],
    [302, "//elsewhere.example", "success"],
    [302, "http://10.0.0.10:8080/", "success"],
    [302, "ftp://10.0.0.1/x", "failure"],
    [302, "http://[/", "failure"],
    [302, "http://10.0.0.1:99999/", "failure"],
  ] as const)("%d to %s: %s", (status, location, is) => {
    expect(afterAnswer(request, status, location, 1).is).toBe(is);
  });

  test("the tenth request is the last", () => {
    expect(next("/x", 302, 9).is).toBe("next");
    expect(next("/x", 302, 10)).toEqual({ is: "failure", why: "stopped after 10 redirects" });
    expect(next("http://elsewhere.example/", 302, 10).is).toBe("success");
  });

  test("an IPv6 address is the same host with and without brackets", () => {
    const six = { ...request, target: { ...request.target, hostname: "fd00::1" } };
    expect(afterAnswer(six, 302, "http://[fd00::1]:8080/x", 1)).toMatchObject({
      is: "next",
      request: { host: "[fd00::1]:8080", target: { hostname: "fd00::1" } },
    });
  });

  test("coming from https to http nobody learns where from", () => {
    const secure = { ...request, target: { ...request.target, scheme: "https" as const } };
    expect(afterAnswer(secure, 302, "http://10.0.0.1/x", 1)).toMatchObject({ request: { headers: [["X-A", "b"]] } });
  });
});
