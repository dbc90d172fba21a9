import { describe, expect, test } from "vitest";
import { InvalidConfig } from "../../src/foundation/errors.ts";
import { readAppProbers, requestPath } from "../../src/status/app-probers.ts";

const read = (table: unknown) => Object.fromEntries(readAppProbers(JSON.stringify(table)));

function problemsOf(text: string): readonly string[] {
  try {
    readAppProbers(text);
    return [];
  } catch (error) {
    if (!(error instanceof InvalidConfig)) throw error;
    return error.problems.map((one) => `${one.name}: ${one.text}`);
  }
}

describe("good tables", () => {
  test("none", () => {
    expect([undefined, "", "  ", "{}"].map((text) => readAppProbers(text).size)).toEqual([0, 0, 0, 0]);
  });

  test("what the injector writes", () => {
    expect(
      read({
        "/app-health/web/livez": { httpGet: { path: "/live", port: 8080, scheme: "HTTP" }, timeoutSeconds: 3 },
        "/app-health/web/readyz": {
          httpGet: { path: "ready?deep=1", port: 8443, scheme: "HTTPS", httpHeaders: [{ name: "X-A", value: "b" }] },
        },
        "/app-health/web/startupz": { tcpSocket: { port: 6379 }, timeoutSeconds: 1 },
        "/app-health/api/livez": { grpc: { port: 9000, service: "a.B" }, timeoutSeconds: 2 },
        "/app-health/api/readyz": { grpc: { port: 9000, service: null }, httpGet: null },
        "/app-lifecycle/web/prestopz": { httpGet: { path: "/bye", port: 8080 } },
        "/app-lifecycle/web/poststartz": { tcpSocket: { port: 8080 }, timeoutSeconds: 5 },
      }),
    ).toEqual({
      "/app-health/web/livez": { kind: "http", scheme: "http", path: "/live", port: 8080, timeout: 3_000, headers: [] },
      "/app-health/web/readyz": {
        kind: "http",
        scheme: "https",
        path: "/ready?deep=1",
        port: 8443,
        timeout: 1_000,
        headers: [["X-A", "b"]],
      },
      "/app-health/web/startupz": { kind: "tcp", port: 6379, timeout: 1_000 },
      "/app-health/api/livez": { kind: "grpc", port: 9000, service: "a.B", timeout: 2_000 },
      "/app-health/api/readyz": { kind: "grpc", port: 9000, service: "", timeout: 1_000 },
      // A hook may take as long as the pod's grace lasts.
      "/app-lifecycle/web/prestopz": {
        kind: "http",
        scheme: "http",
        path: "/bye",
        port: 8080,
        timeout: undefined,
        headers: [],
      },
      "/app-lifecycle/web/poststartz": { kind: "tcp", port: 8080, timeout: 5_000 },
    });
  });

  test("the form before Istio 1.4", () => {
    expect(read({ "/app-health/web/livez": { path: "/live", port: 80 } })).toEqual({
      "/app-health/web/livez": { kind: "http", scheme: "http", path: "/live", port: 80, timeout: 1_000, headers: [] },
    });
  });

  test.each([
    ["", "/"],
    ["/", "/"],
    ["live", "/live"],
    ["/a b", "/a%20b"],
    ["/a%20b", "/a%20b"],
    ["/100%", "/100%25"],
    ["/%zz%41", "/%25zz%41"],
    ["/a#b?c", "/a"],
    ["/ä/😀", "/%C3%A4/%F0%9F%98%80"],
    ["/a\r\nX-Evil: 1", "/a%0D%0AX-Evil:%201"],
    ['/"<>\\^`{|}', "/%22%3C%3E%5C%5E%60%7B%7C%7D"],
    ["/a/../b//c?d=[1]&e='f'", "/a/../b//c?d=[1]&e='f'"],
    ["/\ud800", "/%EF%BF%BD"],
  ])("path %j becomes %s", (path, expected) => {
    expect(requestPath(path)).toBe(expected);
  });
});

describe("bad tables: every problem at once, nothing starts", () => {
  test.each<readonly [title: string, text: string, problems: readonly RegExp[]]>([
    ["no JSON", "{", [/^ISTIO_KUBE_APP_PROBERS: it is no JSON: .*inject the pod again$/]],
    ["a list", "[]", [/it is no JSON object/]],
    ["null", "null", [/it is no JSON object/]],
    ["a wrong path", '{"/health/web/livez":{"tcpSocket":{"port":1}}}', [/no such path; use \/app-health/]],
    ["a slash too many", '{"/app-health/a/b/livez":{"tcpSocket":{"port":1}}}', [/no such path/]],
    ["no container", '{"/app-health//livez":{"tcpSocket":{"port":1}}}', [/no such path/]],
    ["a hook among the probes", '{"/app-health/a/prestopz":{"tcpSocket":{"port":1}}}', [/no such path/]],
    ["nothing", '{"/app-health/a/livez":null}', [/no object/]],
    ["no action", '{"/app-health/a/livez":{}}', [/0 actions; give exactly one/]],
    ["an exec", '{"/app-health/a/livez":{"exec":{"command":["true"]}}}', [/0 actions/]],
    ["two actions", '{"/app-health/a/livez":{"tcpSocket":{"port":1},"grpc":{"port":1}}}', [/2 actions/]],
    ["a named port", '{"/app-health/a/livez":{"httpGet":{"port":"http"}}}', [/httpGet.port is the text "http"/]],
    ["a number as text", '{"/app-health/a/livez":{"tcpSocket":{"port":"80"}}}', [/tcpSocket.port is the text "80"/]],
    ["port 0", '{"/app-health/a/livez":{"grpc":{"port":0}}}', [/grpc.port is 0; a number from 1 to 65535/]],
    ["a port too large", '{"/app-health/a/livez":{"tcpSocket":{"port":65536}}}', [/65536/]],
    ["half a port", '{"/app-health/a/livez":{"tcpSocket":{"port":80.5}}}', [/80.5/]],
    ["no port", '{"/app-health/a/livez":{"tcpSocket":{}}}', [/undefined/]],
    [
      "a negative timeout",
      '{"/app-health/a/livez":{"tcpSocket":{"port":1},"timeoutSeconds":-1}}',
      [/timeoutSeconds is -1/],
    ],
    [
      "half a second",
      '{"/app-health/a/livez":{"tcpSocket":{"port":1},"timeoutSeconds":0.5}}',
      [/timeoutSeconds is 0.5/],
    ],
    ["another scheme", '{"/app-health/a/livez":{"httpGet":{"port":1,"scheme":"FTP"}}}', [/scheme is "FTP"/]],
    ["a path that is no text", '{"/app-health/a/livez":{"httpGet":{"port":1,"path":1}}}', [/httpGet.path is 1/]],
    [
      "a header with a line break",
      '{"/app-health/a/livez":{"httpGet":{"port":1,"httpHeaders":[{"name":"a","value":"b\\nc"}]}}}',
      [/httpHeaders\[0\]/],
    ],
    ["headers that are no list", '{"/app-health/a/livez":{"httpGet":{"port":1,"httpHeaders":{}}}}', [/is no list/]],
    ["a gRPC hook", '{"/app-lifecycle/a/prestopz":{"grpc":{"port":1}}}', [/a hook can't be grpc/]],
    ["a service that is no text", '{"/app-health/a/livez":{"grpc":{"port":1,"service":1}}}', [/grpc.service is 1/]],
    [
      "several in several",
      '{"/x":{"httpGet":{"port":"a","scheme":"b"}},"/app-health/a/livez":{},"/app-health/b/livez":{"tcpSocket":1}}',
      [
        /"\/x": no such path/,
        /"\/x": httpGet.port/,
        /"\/x": httpGet.scheme/,
        /a\/livez": 0 actions/,
        /b\/livez": tcpSocket is no object/,
      ],
    ],
  ])("%s", (_title, text, problems) => {
    const found = problemsOf(text);
    expect(found).toHaveLength(problems.length);
    for (const [index, problem] of problems.entries()) expect(found[index]).toMatch(problem);
  });
});
