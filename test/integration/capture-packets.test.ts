import { engines } from "../helpers/capture-loads.ts";
import { packetTests } from "../helpers/capture-packets.ts";

/** T9, T10, T11, each subject by one engine; test/faults tries each by all. */
packetTests((subject) => engines.filter((_, index) => index === subject % engines.length));
