import admin from "../../bootstrap-templates/parts/admin.json" with { type: "json" };
import clusterManager from "../../bootstrap-templates/parts/cluster-manager.json" with { type: "json" };
import clusters from "../../bootstrap-templates/parts/clusters.json" with { type: "json" };
import dynamic from "../../bootstrap-templates/parts/dynamic.json" with { type: "json" };
import extensions from "../../bootstrap-templates/parts/extensions.json" with { type: "json" };
import listeners from "../../bootstrap-templates/parts/listeners.json" with { type: "json" };
import localCluster from "../../bootstrap-templates/parts/local-cluster.json" with { type: "json" };
import node from "../../bootstrap-templates/parts/node.json" with { type: "json" };
import overload from "../../bootstrap-templates/parts/overload.json" with { type: "json" };
import runtime from "../../bootstrap-templates/parts/runtime.json" with { type: "json" };
import sdsConfig from "../../bootstrap-templates/parts/sds-config.json" with { type: "json" };
import serviceClusters from "../../bootstrap-templates/parts/service-clusters.json" with { type: "json" };
import sinks from "../../bootstrap-templates/parts/sinks.json" with { type: "json" };
import stats from "../../bootstrap-templates/parts/stats.json" with { type: "json" };
import tracing from "../../bootstrap-templates/parts/tracing.json" with { type: "json" };
import router from "../../bootstrap-templates/router.json" with { type: "json" };
import sidecar from "../../bootstrap-templates/sidecar.json" with { type: "json" };
import type { Json, Role } from "../config/agent-config.ts";

/** The whole bootstrap by role; a waypoint is a router. */
export const roleTemplates: Readonly<Record<Role, Json>> = { sidecar, router, waypoint: router };

/** How one secret is asked for; the other parts use it under the name `sdsConfig`. */
export const sdsConfigTemplate: Json = sdsConfig;

/** What the role templates, and a user's own, put together as `parts.<name>`. */
export const partTemplates: Readonly<Record<string, Json>> = {
  admin,
  clusterManager,
  clusters,
  dynamic,
  extensions,
  listeners,
  localCluster,
  node,
  overload,
  runtime,
  serviceClusters,
  sinks,
  stats,
  tracing,
};
