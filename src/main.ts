import "./system/early-signals.ts";
import { main } from "./cli/main.ts";

void main();
