import { describe, expect, test } from "vitest";
import { type CrashBook, type CrashCause, causeOf, cleanBook, noteCrash } from "../../src/process/crash-book.ts";

/** The answers to `times` crashes, `every` ms apart. */
function series(cause: CrashCause, times: number, every: number) {
  let book: CrashBook = cleanBook;
  return Array.from({ length: times }, (_, index) => {
    const noted = noteCrash(book, { cause, at: index * every, ranFor: every, jitter: 0 });
    book = noted.book;
    return noted.patience;
  });
}

describe("crash budgets", () => {
  test("20 crashes after LIVE, 10 s apart, are borne", () => {
    expect(series("crash-after-live", 20, 10_000).every((one) => !one.spent)).toBe(true);
  });
  test("a loop that never gets LIVE ends after 5", () => {
    expect(series("crash-before-live", 6, 300).map((one) => one.spent)).toEqual([
      false,
      false,
      false,
      false,
      false,
      true,
    ]);
  });
  test("a tight loop after LIVE ends too", () => {
    expect(series("crash-after-live", 30, 100).findIndex((one) => one.spent)).toBe(12);
  });
  test("one an hour is for ever forgiven, and answered at once", () => {
    for (const one of series("out-of-memory", 100, 3_600_000)) expect(one).toEqual({ spent: false, wait: 0 });
  });
  test("the first at once, then a back-off that doubles and has an end", () => {
    const waits = series("crash-after-live", 11, 1_000).map((one) => (one.spent ? -1 : one.wait));
    expect(waits).toEqual([0, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
  });
  test("causes have budgets of their own", () => {
    let { book } = noteCrash(cleanBook, { cause: "config-refused", at: 0, ranFor: 0, jitter: 0 });
    for (let i = 1; i < 3; i++) ({ book } = noteCrash(book, { cause: "config-refused", at: i, ranFor: 0, jitter: 0 }));
    expect(noteCrash(book, { cause: "config-refused", at: 3, ranFor: 0, jitter: 0 }).patience.spent).toBe(true);
    expect(noteCrash(book, { cause: "crash-after-live", at: 3, ranFor: 0, jitter: 0 }).patience.spent).toBe(false);
  });
  test("jitter stretches the wait", () => {
    const { book } = noteCrash(cleanBook, { cause: "crash-after-live", at: 0, ranFor: 0, jitter: 0 });
    expect(noteCrash(book, { cause: "crash-after-live", at: 1, ranFor: 0, jitter: 0.2 }).patience).toEqual({
      spent: false,
      wait: 240,
    });
  });
});

test.each([
  [{ how: "exited", code: 1 } as const, false, false, "config-refused"],
  [{ how: "exited", code: 127 } as const, false, false, "cannot-exec"],
  [{ how: "killed", signal: "SIGSEGV" } as const, false, false, "crash-before-live"],
  [{ how: "killed", signal: "SIGSEGV" } as const, true, false, "crash-after-live"],
  [{ how: "killed", signal: "SIGKILL" } as const, true, true, "out-of-memory"],
  [{ how: "killed", signal: "SIGSEGV" } as const, true, true, "crash-after-live"],
])("cause of %o, live %s, memory %s: %s", (exit, live, memory, cause) => {
  expect(causeOf(exit, live, memory)).toBe(cause);
});
