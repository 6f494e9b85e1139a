import { expect } from "vitest";
import { parse } from "yaml";
import type { Json } from "../support/modern-client.ts";
import { type Document, only, podOf, portOf } from "./documents.ts";

export interface Mounted {
  /** The configuration that the gateway reads. */
  readonly text: string;
  /** The same, parsed. */
  readonly config: Json;
  /** The annotation that makes other pods. */
  readonly hash: string | undefined;
}

/** What the gateway's container finds at the path that its arguments name. */
export function mounted(documents: readonly Document[]): Mounted {
  const { pod, gateway } = podOf(documents);
  const [, path = ""] = gateway.args;
  const mount = gateway.volumeMounts.find(({ mountPath }: Json) => path.startsWith(`${mountPath}/`));
  const volume = pod.volumes.find(({ name }: Json) => name === mount?.name);
  const { data } = only(documents, "ConfigMap", volume?.configMap.name);
  const text = data?.[path.slice(mount.mountPath.length + 1)];
  if (text === undefined) throw new Error(`${path} is not in the ConfigMap`);
  const { annotations } = only(documents, "Deployment").spec.template.metadata;
  return { text, config: parse(text), hash: annotations["mcp-taskgate/restart"] };
}

/** What holds for the gateway's container in every pod: who it runs as, what it may do, and how it is asked and stopped. */
export function expectSafePod(documents: readonly Document[]): void {
  const { pod, gateway } = podOf(documents);
  const { config } = mounted(documents);
  expect(pod.securityContext.fsGroup).toBe(65532);
  expect({ ...pod.securityContext, ...gateway.securityContext }).toMatchObject({
    runAsNonRoot: true,
    runAsUser: 65532,
    runAsGroup: 65532,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
    seccompProfile: { type: "RuntimeDefault" },
  });
  expect(gateway.args).toEqual(["--config", "/etc/mcp-taskgate/taskgate.yaml"]);
  expect(portOf(gateway, "taskgate")).toBe(config.listen.port);
  const asked = ["startupProbe", "readinessProbe", "livenessProbe"].map((name) => gateway[name].httpGet);
  expect(asked.map(({ path }) => path)).toEqual(["/health/live", "/health/ready", "/health/live"]);
  expect(asked.map(({ port }) => portOf(gateway, port))).toEqual(Array(3).fill(config.admin.port));
  const sleep = gateway.lifecycle?.preStop.sleep.seconds ?? 0;
  const seconds = Number.parseFloat(config.limits.drainTimeout);
  // The first of the tables says what a drain in other units makes.
  if (/^\d+s$/.test(config.limits.drainTimeout))
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(sleep + seconds + 10);
}
