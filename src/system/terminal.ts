import { isatty } from "node:tty";

/** Whether standard output is a terminal: then a page may have colours. */
export const stdoutIsTerminal = (): boolean => isatty(1);
