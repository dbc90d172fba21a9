/**
 * Whether the application is healthy, from one answer to the next (pure). A verdict changes after as many answers of the
 * other kind in a row as the threshold says, and is told when it changes. The first verdict is told whichever it is: the
 * peer keeps a bad first one to itself, and a control plane that remembers "healthy" from before a restart then goes on
 * sending callers to a dead application.
 */
export type HealthState =
  | { readonly is: "unknown"; readonly good: number; readonly bad: number }
  | { readonly is: "healthy"; readonly bad: number }
  | { readonly is: "unhealthy"; readonly good: number };

/** `because` is undefined when the application said yes. */
export interface HealthAnswer {
  readonly because: string | undefined;
}

/** What the control plane is told; the same shape as in xds/own-types.ts. */
export type ApplicationHealth = { readonly healthy: true } | { readonly healthy: false; readonly reason: string };

export interface HealthStep {
  readonly next: HealthState;
  readonly tell?: ApplicationHealth;
}

export interface Thresholds {
  readonly success: number;
  readonly failure: number;
}

export const atFirst: HealthState = { is: "unknown", good: 0, bad: 0 };

type Cell<S> = (state: S, limit: number, because: string) => HealthStep;
type Cells = {
  readonly [S in HealthState["is"]]: {
    readonly good: Cell<Extract<HealthState, { is: S }>>;
    readonly bad: Cell<Extract<HealthState, { is: S }>>;
  };
};

const healthy: HealthStep = { next: { is: "healthy", bad: 0 }, tell: { healthy: true } };
const unhealthy = (reason: string): HealthStep => ({
  next: { is: "unhealthy", good: 0 },
  tell: { healthy: false, reason },
});

const cells: Cells = {
  unknown: {
    good: ({ good }, limit) => (good + 1 >= limit ? healthy : { next: { is: "unknown", good: good + 1, bad: 0 } }),
    bad: ({ bad }, limit, because) =>
      bad + 1 >= limit ? unhealthy(because) : { next: { is: "unknown", good: 0, bad: bad + 1 } },
  },
  healthy: {
    good: () => ({ next: { is: "healthy", bad: 0 } }),
    bad: ({ bad }, limit, because) =>
      bad + 1 >= limit ? unhealthy(because) : { next: { is: "healthy", bad: bad + 1 } },
  },
  unhealthy: {
    good: ({ good }, limit) => (good + 1 >= limit ? healthy : { next: { is: "unhealthy", good: good + 1 } }),
    bad: () => ({ next: { is: "unhealthy", good: 0 } }),
  },
};

/** The state after an answer, and what is told about it, if anything. */
export function judge(state: HealthState, { because }: HealthAnswer, thresholds: Thresholds): HealthStep {
  const row = cells[state.is];
  return because === undefined
    ? row.good(state as never, thresholds.success, "")
    : row.bad(state as never, thresholds.failure, because);
}
