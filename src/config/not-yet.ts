import type { Problems } from "../foundation/problems.ts";
import type { JsonObject } from "./agent-config.ts";
import type { EnvironmentReader } from "./environment-reader.ts";
import type { Notices } from "./notices.ts";
import { scalarText } from "./object-reader.ts";
import { parseBoolean } from "./units.ts";

/** What pilot-agent does and pilotfish does not do yet: told once, or refused where going on would do harm. */
export function readNotYet(env: EnvironmentReader, metadata: JsonObject, problems: Problems, notices: Notices): void {
  const policy = env.choice("COMPLIANCE_POLICY");
  if (policy !== undefined) notices.add(`COMPLIANCE_POLICY ${policy} is not enforced yet: TLS is that of the defaults`);
  const platform = env.text("CLOUD_PLATFORM");
  const asksPlatform = platform !== undefined && platform !== "none";
  const gcp = (["GCP_METADATA", "GCP_ZONE", "GCP_QUOTA_PROJECT"] as const).filter(
    (name) => env.text(name) !== undefined,
  );
  for (const name of [...(asksPlatform ? ["CLOUD_PLATFORM"] : []), ...gcp]) {
    notices.add(`${name} is not used yet: no platform is asked, locality comes from labels and PILOTFISH_LOCALITY`);
  }
  refuseDnsCapture(env, metadata, problems);
  if (env.boolean("ISTIO_META_ENABLE_DNS_SERVER")) {
    notices.add("ISTIO_META_ENABLE_DNS_SERVER is not used yet: nothing listens on 15053");
  }
}

/** Queries that the rules of the init container send to 15053 would find nobody: the application would have no DNS. */
function refuseDnsCapture(env: EnvironmentReader, metadata: JsonObject, problems: Problems): void {
  const fromProxyConfig = parseBoolean(scalarText(metadata["DNS_CAPTURE"]) ?? "") === true;
  if (!env.boolean("ISTIO_META_DNS_CAPTURE") && !fromProxyConfig) return;
  problems.add(
    "ISTIO_META_DNS_CAPTURE",
    '"true" can\'t be used: there is no DNS proxy yet, captured queries would go nowhere; set it to "false" in the proxy and in the init container',
  );
}
