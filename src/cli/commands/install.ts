import type { Command } from "../command.ts";

export const installCommand: Command = {
  name: "install",
  summary: "Copies what another container needs to run wait and request into a folder.",
  usage: "install DIR",
  description: [
    "In an init container with our image, DIR is on an emptyDir that the application's container mounts too: there, " +
      "DIR/pilotfish wait … and DIR/pilotfish request … work as any user, whatever the application's image is. It " +
      "needs neither Node nor a certain C library, which are copied too, only /bin/sh. About 135 MB.",
    "Every file is written whole under another name and renamed, so that it can be run again at any time; what is " +
      "there already is left alone.",
  ],
  options: [],
  unknownFlags: "error",
  exitCodes: [[69, "the folder can't be written"]],
  load: () => import("../run-install.ts"),
};
