import type { HttpAnswer } from "../../system/http-client.ts";
import type { DemoPorts } from "./static-configuration.ts";

/** One thing that the demo shows, and checks. */
export interface DemoStep {
  readonly title: string;
  /** What a person would type to see the same. */
  readonly command: string;
  /** What was seen, in one line; throws when it is not what it should be. */
  readonly show: () => Promise<string>;
}

export type Get = (port: number, path: string) => Promise<HttpAnswer>;

/** In the order in which they are shown. `get` asks 127.0.0.1. */
export function demoSteps(ports: DemoPorts, get: Get): readonly DemoStep[] {
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
      title: "one page of metrics: agent, Envoy and application",
      command: `curl http://127.0.0.1:${ports.status}/stats/prometheus`,
      show: async () => expectSources(await get(ports.status, "/stats/prometheus")),
    },
  ];
}

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
