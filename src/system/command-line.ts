import { writeTo } from "./process.ts";

/** The words behind the program's name. */
export const commandLine = (): readonly string[] => process.argv.slice(2);

/** Node's version (`v24.21.0`), the machine's kind (`x64`) and platform (`linux`). */
export const nodeVersion = (): string => process.version;
export const machine = (): string => `${process.platform}/${process.arch}`;

let lastNet: (error: unknown) => void = () => undefined;

/**
 * What hears of an error that nobody caught, in a callback or in a promise. One at a time, the newest wins: the command
 * line sets the first, a supervisor replaces it by its own way to stop.
 */
export function onUncaught(hear: (error: unknown) => void): void {
  lastNet = hear;
}

/** Installs the net; called once, by the program's main. */
export function catchUncaught(): void {
  process.on("uncaughtException", (error) => lastNet(error));
  process.on("unhandledRejection", (error) => lastNet(error));
}

export const toStdout = (text: string | Uint8Array): void => writeTo(1, text);
export const toStderr = (text: string): void => writeTo(2, text);
