import { request } from "node:https";
import type { TLSSocket } from "node:tls";
import { readText } from "../../system/files.ts";

export interface SecureAnswer {
  readonly body: string;
  /** Names in the certificate that the server showed: `URI:spiffe://…`. */
  readonly names: string;
}

/**
 * Asks 127.0.0.1 over mutual TLS with the certificate, key and roots of `folder` (what OUTPUT_CERTS writes). The peer is
 * known by its SPIFFE name, not by a host name, so that check is the caller's.
 */
export function askSecurely(port: number, folder: string): Promise<SecureAnswer> {
  const [cert, key, ca] = ["cert-chain.pem", "key.pem", "root-cert.pem"].map((name) => readText(`${folder}/${name}`));
  if (cert === undefined || key === undefined || ca === undefined) throw new Error(`no certificate in ${folder} yet`);
  const checkServerIdentity = (): undefined => undefined;
  return new Promise((resolve, reject) => {
    const outgoing = request({
      host: "127.0.0.1",
      port,
      cert,
      key,
      ca,
      agent: false,
      checkServerIdentity,
      timeout: 10_000,
    });
    outgoing.once("error", reject);
    outgoing.once("timeout", () => outgoing.destroy(new Error("no answer in time")));
    outgoing.once("response", (incoming) => {
      const names = (incoming.socket as TLSSocket).getPeerCertificate().subjectaltname ?? "";
      let body = "";
      incoming.setEncoding("utf8").on("data", (part: string) => {
        body += part;
      });
      incoming.once("end", () => resolve({ body, names }));
      incoming.once("error", reject);
    });
    outgoing.end();
  });
}
