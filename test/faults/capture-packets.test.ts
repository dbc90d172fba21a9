import { engines } from "../helpers/capture-loads.ts";
import { packetTests } from "../helpers/capture-packets.ts";

/** T9, T10, T11 by each engine. */
packetTests(() => engines);
