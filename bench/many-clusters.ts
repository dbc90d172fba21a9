/** "ours": 278 families, as our bootstrap and istiod name clusters; "defaults": 2,300, as dots in names make them. */
export type Tags = "ours" | "defaults";

/** As the bootstrap templates have it; istiod ends the names that clusters have in statistics with the semicolon. */
export const ourTags = {
  use_all_default_tags: false,
  stats_tags: [{ tag_name: "cluster_name", regex: "^cluster(\\.(.+);)" }],
};

const nameOf = (index: number): string => `outbound|8080||svc-${index}.namespace-${index % 20}.svc.cluster.local`;

/** Clusters of one endpoint that nobody calls: about 20 kB of statistics each. */
export function uncalledClusters(count: number, tags: Tags): readonly object[] {
  const endpoint = { endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: 9 } } } };
  return Array.from({ length: count }, (_, i) => ({
    name: nameOf(i),
    ...(tags === "ours" ? { alt_stat_name: `${nameOf(i)};` } : {}),
    connect_timeout: "1s",
    type: "STATIC",
    load_assignment: { cluster_name: "one", endpoints: [{ lb_endpoints: [endpoint] }] },
  }));
}
