import type { HttpAnswer } from "../../system/http-client.ts";
import type { DemoPorts } from "./discovery-resources.ts";
import { type Counted, callWhile, type Get, hotRestart, killEnvoy } from "./faults.ts";
import type { SecureAnswer } from "./mutual-tls.ts";

/** One thing that the demo shows, and checks. */
export interface DemoStep {
  readonly title: string;
  /** What a person would type to see the same. */
  readonly command: string;
  /** What was seen, in one line; throws when it is not what it should be. */
  readonly show: () => Promise<string>;
}

/**
 * In the order in which they are shown. `get` asks 127.0.0.1; `certificates` is where the workload's own lie; `socketPath`
 * is the proxy's control socket.
 */
export function demoSteps(
  ports: DemoPorts,
  get: Get,
  secure: { readonly certificates: string; readonly ask: () => Promise<SecureAnswer> },
  socketPath: string,
): readonly DemoStep[] {
  return [
    {
      title: "ready, asked through Envoy as the kubelet does",
      command: `curl -i http://127.0.0.1:${ports.readiness}/healthz/ready`,
      show: async () => expectStatus(await get(ports.readiness, "/healthz/ready"), 200),
    },
    {
      title: "a request through Envoy to the example application",
      command: `curl http://127.0.0.1:${ports.service}/`,
      show: async () => expectText(await get(ports.service, "/"), "hello from the example application"),
    },
    {
      title: "the same over mutual TLS, with the certificate that the control plane has signed",
      command:
        `curl --insecure --cert ${secure.certificates}/cert-chain.pem --key ${secure.certificates}/key.pem ` +
        `https://127.0.0.1:${ports.secure}/`,
      show: async () => expectIdentity(await secure.ask()),
    },
    {
      title: "a caller without a certificate is turned away",
      command: `curl --insecure https://127.0.0.1:${ports.secure}/`,
      show: async () => expectRefusal(() => get(ports.secure, "/")),
    },
    {
      title: "one page of metrics: agent, Envoy and application",
      command: `curl http://127.0.0.1:${ports.status}/stats/prometheus`,
      show: async () => expectSources(await get(ports.status, "/stats/prometheus")),
    },
    ...faultSteps(ports, get, socketPath),
  ];
}

/** What none of its kind manages: nobody is refused while Envoy is replaced, or killed. */
function faultSteps(ports: DemoPorts, get: Get, socketPath: string): readonly DemoStep[] {
  return [
    {
      title: "Envoy is killed with -9 while it is called: nobody is refused",
      command: "kill -9 $(pgrep -n envoy)",
      show: async () => {
        const counted = await callWhile(get, ports.service, () => killEnvoy(socketPath));
        if (counted.refused > 0) throw new Error(`${counted.refused} connections were refused`);
        return `${countedInWords(counted)} (under way on the one that died)`;
      },
    },
    {
      title: "another Envoy takes its place while it is called: no request fails",
      command: "pilotfish hot-restart --wait",
      show: async () => {
        const counted = await callWhile(get, ports.service, () => hotRestart(socketPath));
        if (counted.refused + counted.lost > 0) throw new Error(countedInWords(counted));
        return countedInWords(counted);
      },
    },
  ];
}

const countedInWords = ({ answered, refused, lost }: Counted): string =>
  `${answered} answered, ${refused} refused, ${lost} lost`;

function expectStatus(answer: HttpAnswer, status: number): string {
  if (answer.status !== status)
    throw new Error(`expected ${status}, got ${answer.status}: ${answer.body.toString().trim()}`);
  return `HTTP ${answer.status}`;
}

function expectText(answer: HttpAnswer, text: string): string {
  expectStatus(answer, 200);
  const body = answer.body.toString().trim();
  if (!body.includes(text)) throw new Error(`expected "${text}", got "${body}"`);
  return body;
}

function expectIdentity({ body, names }: SecureAnswer): string {
  const identity = /URI:(spiffe:\/\/[^,\s]+)/.exec(names)?.[1];
  if (identity === undefined) throw new Error(`the certificate carries no SPIFFE name but "${names}"`);
  return `${body.trim()}, from ${identity}`;
}

async function expectRefusal(ask: () => Promise<HttpAnswer>): Promise<string> {
  try {
    const answer = await ask();
    throw new UnexpectedAnswer(`it was answered with ${answer.status}`);
  } catch (error) {
    if (error instanceof UnexpectedAnswer) throw error;
    return "refused";
  }
}

class UnexpectedAnswer extends Error {
  override readonly name = "UnexpectedAnswer";
}

const sources = [
  ["agent", /^istio_agent_/m],
  ["Envoy", /^envoy_/m],
  ["application", /^demo_greetings_total [1-9]/m],
] as const;

function expectSources(answer: HttpAnswer): string {
  expectStatus(answer, 200);
  const page = answer.body.toString();
  const missing = sources.filter(([, pattern]) => !pattern.test(page)).map(([name]) => name);
  if (missing.length > 0) throw new Error(`the page has nothing of: ${missing.join(", ")}`);
  return `${page.split("\n").filter((line) => line !== "" && !line.startsWith("#")).length} samples`;
}
