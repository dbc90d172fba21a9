import { describe, expect, test } from "vitest";
import { renderBootstrap } from "../../src/bootstrap/render-bootstrap.ts";
import { configFixture } from "./config-fixture.ts";

interface Tag {
  readonly tag_name: string;
  readonly regex: string;
}

async function statsTags(): Promise<readonly Tag[]> {
  const proxy = { extraStatTags: ["request.host", "source_app"] };
  const { text } = await renderBootstrap(configFixture({ proxy }), {});
  return (JSON.parse(text) as { readonly stats_config: { readonly stats_tags: readonly Tag[] } }).stats_config
    .stats_tags;
}

/**
 * What Envoy makes of a statistic's name (envoy.config.metrics.v3.TagSpecifier): the first group is cut out, the second,
 * or the first when there is no second, is the tag's value. Its expressions are ECMAScript's, as ours here are.
 */
async function tagged(
  name: string,
): Promise<{ readonly name: string; readonly tags: Readonly<Record<string, string>> }> {
  const gone = new Set<number>();
  const tags: Record<string, string> = {};
  for (const { tag_name, regex } of await statsTags()) {
    const found = new RegExp(regex, "d").exec(name);
    const [from, to] = found?.indices?.[1] ?? [0, 0];
    if (found?.[1] === undefined) continue;
    tags[tag_name] = found[2] ?? found[1];
    for (let at = from; at < to; at++) gone.add(at);
  }
  return { name: name.replace(/./g, (letter, at: number) => (gone.has(at) ? "" : letter)), tags };
}

describe("names of statistics become tags", () => {
  test.each<readonly [string, string, Readonly<Record<string, string>>]>([
    [
      "cluster.outbound|80||a.b.svc.cluster.local;.upstream_rq_total",
      "cluster.upstream_rq_total",
      { cluster_name: "outbound|80||a.b.svc.cluster.local" },
    ],
    ["cluster.xds-grpc;.upstream_rq_503", "cluster.upstream_rq", { cluster_name: "xds-grpc", response_code: "503" }],
    [
      "cluster.xds-grpc;.upstream_rq_5xx",
      "cluster.upstream_rq",
      { cluster_name: "xds-grpc", response_code_class: "5xx" },
    ],
    ["cluster_manager.cluster_added", "cluster_manager.cluster_added", {}],
    [
      "http.outbound_0.0.0.0_80;.downstream_rq_total",
      "http.downstream_rq_total",
      { http_conn_manager_prefix: "outbound_0.0.0.0_80" },
    ],
    ["http.admin.downstream_rq_total", "http.admin.downstream_rq_total", {}],
    [
      "listener.0.0.0.0_15006.downstream_cx_active",
      "listener.downstream_cx_active",
      { listener_address: "0.0.0.0_15006" },
    ],
    ["listener.[__]_15021.downstream_cx_active", "listener.downstream_cx_active", { listener_address: "[__]_15021" }],
    ["listener.admin.downstream_cx_active", "listener.admin.downstream_cx_active", {}],
    [
      "listener.127.0.0.1_80.http.10.0.0.1_80.downstream_rq_2xx",
      "listener.http.downstream_rq",
      {
        listener_address: "127.0.0.1_80",
        http_conn_manager_listener_prefix: "10.0.0.1_80",
        response_code_class: "2xx",
      },
    ],
    ["server.worker_0.watchdog_miss", "server.watchdog_miss", { thread_name: "worker_0" }],
    ["server.live", "server.live", {}],
    ["tcp.outbound|443||db.downstream_cx_total", "tcp.downstream_cx_total", { tcp_prefix: "outbound|443||db" }],
    ["mongo.orders.collection.x.query.total", "mongo.collection.x.query.total", { mongo_prefix: "orders" }],
    [
      "http.inbound;.rbac.allowed",
      "http.rbac",
      { http_conn_manager_prefix: "inbound", authz_enforce_result: "allowed" },
    ],
    [
      "http.inbound;.rbac.istio_dry_run_deny_shadow_denied",
      "http.rbac",
      { http_conn_manager_prefix: "inbound", authz_dry_run_action: "deny", authz_dry_run_result: "denied" },
    ],
    ["request.host=.=a.b;.;istio_requests_total", "istio_requests_total", { "request.host": "a.b" }],
    ["requestXhost=.=a.b;.;istio_requests_total", "requestXhost=.=a.b;.;istio_requests_total", {}],
    ["component.proxy.tag.1.2;.istio_build", "istio_build", { component: "proxy", tag: "1.2" }],
  ])("%s", async (name, left, tags) => expect(await tagged(name)).toEqual({ name: left, tags }));
});
