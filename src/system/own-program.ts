import { dirname, join } from "node:path";

/**
 * The launcher that this process was started by: `bin/pilotfish` beside the bundle's folder. Calling it again gives the
 * same Node and the same tuning.
 */
export const ownLauncher = (): string => join(dirname(process.argv[1] ?? ""), "..", "bin", "pilotfish");

/** A path of the checkout that this process runs from. */
export const inCheckout = (path: string): string => join(dirname(process.argv[1] ?? ""), "..", path);
