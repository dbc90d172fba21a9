// What line-room.ts calls.
export { alike } from "./alike";
export { family } from "./family";
export { histograms } from "./histogram";
export { protobuf, protobufBegin, protobufWhole } from "./protobuf";
export { tidy } from "./tidy";
