export { exitCodeOf, exitCodes } from "../foundation/exit-codes.ts";
