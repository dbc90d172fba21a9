import { describe, expect, test } from "vitest";
import { fromForeignPage, isTrusted, plainAddress, socketPeer, tcpPeer } from "../../src/status/peer.ts";

describe("tcpPeer", () => {
  test.each([
    ["127.0.0.1", "loopback"],
    ["127.0.0.2", "loopback"],
    ["127.255.255.254", "loopback"],
    ["::1", "loopback"],
    ["::ffff:127.0.0.1", "loopback"],
    ["::FFFF:127.0.0.1", "loopback"],
    ["::ffff:7f00:1", "loopback"],
    ["127.0.0.6", "network"],
    ["::ffff:127.0.0.6", "network"],
    ["::ffff:7f00:6", "network"],
    ["::6", "network"],
    ["::", "network"],
    ["0.0.0.0", "network"],
    ["10.0.0.1", "network"],
    ["::ffff:10.0.0.1", "network"],
    ["fe80::1", "network"],
    ["fe80::1%lo", "network"],
    ["::127.0.0.1", "network"],
    ["127.0.0.1.example", "network"],
    ["1127.0.0.1", "network"],
    ["", "network"],
    [undefined, "network"],
  ])("%s is %s", (address, peer) => {
    expect(tcpPeer(address)).toBe(peer);
  });

  test("a mapped address is shown as the plain one", () => {
    expect(["::ffff:10.1.2.3", "::ffff:a01:203", "fd00::1"].map(plainAddress)).toEqual([
      "10.1.2.3",
      "10.1.2.3",
      "fd00::1",
    ]);
  });
});

describe("socketPeer", () => {
  test.each([
    [{ uid: 1337 }, "socket"],
    [{ uid: 0 }, "socket"],
    [{ uid: 1000 }, "foreign-socket"],
    // No native calls: the file's mode decided already.
    [undefined, "socket"],
  ])("%o is %s", (credentials, peer) => {
    expect(socketPeer(credentials, 1337)).toBe(peer);
  });

  test("only loopback and our own socket are trusted", () => {
    expect((["network", "loopback", "socket", "foreign-socket"] as const).map(isTrusted)).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });
});

describe("fromForeignPage", () => {
  test.each([
    [{}, false],
    [{ host: "anything.example" }, false],
    [{ host: "127.0.0.1:15020", "sec-fetch-site": "none" }, false],
    [{ host: "localhost:15020", "sec-fetch-site": "same-origin", origin: "http://localhost:15020" }, false],
    [{ host: "[::1]:15020", "sec-fetch-site": "none" }, false],
    [{ host: "127.0.0.1:15020", "sec-fetch-site": "cross-site", origin: "https://evil.example" }, true],
    [{ host: "127.0.0.1:15020", "sec-fetch-site": "same-site" }, true],
    [{ host: "127.0.0.1:15020", origin: "https://evil.example" }, true],
    [{ host: "127.0.0.1:15020", origin: "null" }, true],
    // A name that was pointed at us by somebody else's DNS.
    [{ host: "rebound.example:15020", "sec-fetch-site": "none" }, true],
    [{ host: "rebound.example", "sec-fetch-site": "same-origin", origin: "http://rebound.example" }, true],
  ])("%o: %s", (headers, foreign) => {
    expect(fromForeignPage(headers)).toBe(foreign);
  });
});
