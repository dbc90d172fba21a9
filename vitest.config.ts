import { defineConfig } from "vitest/config";

/**
 * Four lanes. "pure" may share one process per worker (no test there touches signals or global state), the others run
 * real programs, a real Envoy, real namespaces: each file gets a process of its own.
 */
const lane = (name: string, include: string[], more: object = {}) => ({
  test: { name, include, passWithNoTests: true, ...more },
});

export default defineConfig({
  test: {
    projects: [
      lane("pure", ["test/**/*.test.ts"], {
        exclude: ["test/programs/**", "test/integration/**", "test/faults/**"],
        pool: "threads",
        isolate: false,
        testTimeout: 20_000,
      }),
      lane("programs", ["test/programs/**/*.test.ts"], { pool: "forks", testTimeout: 60_000, hookTimeout: 60_000 }),
      lane("integration", ["test/integration/**/*.test.ts"], {
        pool: "forks",
        testTimeout: 120_000,
        hookTimeout: 120_000,
      }),
      lane("faults", ["test/faults/**/*.test.ts"], { pool: "forks", testTimeout: 900_000, hookTimeout: 900_000 }),
    ],
  },
});
