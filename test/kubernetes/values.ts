/** Values of the chart that make something, each with what is special about it. */

import type { Release, Values } from "./programs.ts";

const servers = { reports: { upstream: { url: "http://reports:3001/mcp" } } };
const redis = { store: { url: "redis://redis:6379" }, servers };

export const GOOD: Readonly<Record<string, readonly [Values, Release?]>> = {
  "the least": [{ config: { servers } }],
  "a sidecar": [{}, { examples: ["sidecar"] }],
  "a companion": [{}, { examples: ["companion"] }],
  replicas: [{}, { examples: ["replicas"] }],
  "a store in memory": [{ config: { store: { url: "memory:" }, servers } }],
  "a number of replicas": [{ replicas: 3, config: redis }],
  "a cluster with TLS": [
    {
      replicas: 3,
      config: {
        store: { url: "rediss+cluster://redis-0:6379,redis-1:6379", tls: { ca: "/etc/redis/ca.crt" } },
        servers,
      },
      extraVolumes: [{ name: "redis", secret: { secretName: "redis-tls" } }],
      extraVolumeMounts: [{ name: "redis", mountPath: "/etc/redis", readOnly: true }],
    },
  ],
  "a ServiceMonitor": [
    { config: { servers }, monitor: { kind: "ServiceMonitor", labels: { release: "prometheus" } } },
  ],
  "everything else": [
    {
      image: { repository: "registry.example.com/taskgate", digest: `sha256:${"0".repeat(64)}` },
      imagePullSecrets: [{ name: "registry" }],
      fullnameOverride: "tools",
      nameOverride: "gate",
      clusterDomain: "example.internal",
      config: { ...redis, listen: { port: 18080 }, admin: { port: 19090 }, "x-notes": { any: "thing" } },
      env: { OTEL_SERVICE_NAME: "tools", COUNT: 10_000_000, FLAG: true, EMPTY: "" },
      autoscaling: {
        enabled: true,
        minReplicas: 1,
        targetCPUUtilizationPercentage: null,
        metrics: [
          {
            type: "Pods",
            pods: {
              metric: { name: "taskgate_tasks" },
              target: { type: "AverageValue", averageValue: "500" },
            },
          },
        ],
      },
      podDisruptionBudget: { enabled: true, maxUnavailable: "25%" },
      service: {
        type: "LoadBalancer",
        port: 80,
        annotations: { "example.com/a": "b" },
        sessionAffinity: "ClientIP",
      },
      ingress: {
        enabled: true,
        className: "internal",
        annotations: { "example.com/timeout": "0" },
        hosts: ["a.example.com", "b.example.com"],
        tls: [{ hosts: ["a.example.com"] }],
      },
      httpRoute: {
        enabled: true,
        annotations: { "example.com/a": "b" },
        parentRefs: [{ name: "public", namespace: "gateways", sectionName: "https" }],
        hostnames: ["c.example.com"],
      },
      networkPolicy: {
        clients: [{ podSelector: { matchLabels: { app: "agent" } } }, { ipBlock: { cidr: "10.0.0.0/8" } }],
        monitoring: [{ namespaceSelector: {}, podSelector: { matchLabels: { app: "prometheus" } } }],
      },
      monitor: { kind: "PodMonitor", interval: "1m" },
      preStopSeconds: 0,
      terminationGracePeriodSeconds: 120,
      serviceAccount: { annotations: { "example.com/role": "gate" } },
      podAnnotations: { "example.com/a": "b" },
      podLabels: { team: "tools" },
      nodeSelector: { disk: "ssd" },
      tolerations: [{ key: "gates", operator: "Exists" }],
      affinity: {
        podAntiAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 1, podAffinityTerm: { topologyKey: "zone", labelSelector: {} } },
          ],
        },
      },
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "DoNotSchedule", labelSelector: {} },
      ],
      priorityClassName: "high",
    },
    { name: "gate" },
  ],
  "what there is already": [
    {
      config: { servers },
      persistence: { existingClaim: "tasks" },
      serviceAccount: { create: false, name: "gate" },
      networkPolicy: { enabled: false },
    },
  ],
  "a volume of its own": [
    {
      config: { servers },
      persistence: { size: "10Gi", storageClassName: "fast", accessModes: ["ReadWriteOncePod"] },
    },
  ],
  "a server by a command, and more than one": [
    {
      config: {
        servers: {
          ...servers,
          notes: { upstream: { command: "node", args: ["/opt/notes.js"], env: { MODE: "a" } } },
        },
      },
    },
  ],
  "hosts of its own": [
    {
      config: { listen: { allowedHosts: ["tools.example.com", "gate"] }, servers },
      ingress: { enabled: true, hosts: ["*.example.com", "tools.example.com"] },
    },
  ],
  "large numbers, and a text that looks like a variable": [
    {
      config: {
        limits: { total: { tasks: 10_000_000 }, drainTimeout: "1500ms" },
        servers: { reports: { upstream: { url: "http://reports/mcp", headers: { "X-A": "$${B}" } } } },
      },
    },
  ],
  "names that are numbers": [
    {
      fullnameOverride: "123",
      config: { servers },
      ingress: { enabled: true, className: "1", hosts: ["a.example.com"] },
      priorityClassName: "2",
      serviceAccount: { name: "3" },
      persistence: { existingClaim: "4" },
    },
    { name: "5" },
  ],
  "a release with a long name": [{ config: { servers } }, { name: "a".repeat(53) }],
};
