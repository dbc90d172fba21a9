import { describe, expect, test } from "vitest";
import { type Connection, connectionStanding, mustHave } from "../../src/status/standings.ts";

describe("mustHave", () => {
  test("not ready until it came", () => {
    let clusters = 0;
    const cds = mustHave(
      "cds",
      () => clusters > 0,
      () => "waiting for the first clusters",
      () => `${clusters} clusters`,
    );
    expect(cds.check()).toEqual({ ready: false, reason: "waiting for the first clusters" });
    clusters = 12;
    expect(cds.check()).toEqual({ ready: true, note: "12 clusters" });
    expect(
      mustHave(
        "x",
        () => true,
        () => "",
      ).check(),
    ).toEqual({ ready: true });
  });
});

describe("connection to the control plane", () => {
  test.each<readonly [connection: Connection, tolerate: number | undefined, standing: object]>([
    [{ is: "never" }, 0, { ready: true, note: "not connected yet" }],
    [
      { is: "never", lastError: "connection refused" },
      undefined,
      { ready: true, note: "not connected yet: connection refused" },
    ],
    [{ is: "connected", since: 40_000 }, 0, { ready: true, note: "connected for 1 min 0 s" }],
    [
      { is: "lost", since: 90_000, lastError: "reset" },
      undefined,
      { ready: true, note: "lost 10.0 s ago: reset; what Envoy has stays in force" },
    ],
    [{ is: "lost", since: 90_000 }, 30_000, { ready: true, note: "lost 10.0 s ago; tolerated for 20.0 s more" }],
    [{ is: "lost", since: 90_000 }, 10_000, { ready: true, note: "lost 10.0 s ago; tolerated for 0 ms more" }],
    [
      { is: "lost", since: 90_000, lastError: "reset" },
      9_999,
      { ready: false, reason: "lost 10.0 s ago: reset, longer than the 9.9 s that are tolerated" },
    ],
    [{ is: "lost", since: 100_000 }, 0, { ready: true, note: "lost 0 ms ago; tolerated for 0 ms more" }],
  ])("%o, tolerated for %s", (connection, tolerate, standing) => {
    expect(connectionStanding(connection, 100_000, tolerate)).toEqual(standing);
  });
});
