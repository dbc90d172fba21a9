// Asks a discovery socket as another user: node asker-program.ts UID SOCKET PATH TYPE NAME… Prints one JSON line:
// {"messages": how many came, "code": grpc-status, -1 without one}. Only root may become another user.
import { discoveryRequest } from "../../src/protocol/messages.ts";
import { rawEnvoy } from "./wire.ts";

const [uid = "", socket = "", path = "", typeUrl = "", ...resourceNames] = process.argv.slice(2);
// Here and not by setpriv: by now everything is loaded, and the other user need not be able to read the checkout.
process.setgroups?.([]);
process.setgid?.(Number(uid));
process.setuid?.(Number(uid));

const envoy = rawEnvoy(socket, path);
envoy.send(discoveryRequest.encode({ typeUrl, resourceNames }));
const arrived = new Promise<void>((resolve) => {
  envoy.stream.on("data", () => envoy.messages.length > 0 && resolve());
});
const { code } = await Promise.race([envoy.ended, arrived.then(() => ({ code: -1 }))]);
process.stdout.write(`${JSON.stringify({ messages: envoy.messages.length, code })}\n`);
envoy.close();
