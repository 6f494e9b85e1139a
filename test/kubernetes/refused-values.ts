// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the gateway's variables.

/** Values of the chart that contradict each other, and what helm says to each. */

import type { Values } from "./programs.ts";

const servers = { reports: { upstream: { url: "http://reports:3001/mcp" } } };
const store = { url: "redis://redis:6379" };
const forwarding = {
  reports: { upstream: { url: "http://reports/mcp", forwardHeaders: ["authorization"] } },
};
const server = { name: "reports", image: "reports:1", ports: [{ containerPort: 3001 }] };
const local = { reports: { upstream: { url: "http://127.0.0.1:3001/mcp" } } };
const config = { servers };

export const CONTRADICTIONS: readonly (readonly [what: string, values: Values, line: string])[] = [
  [
    "two replicas on a store that belongs to one gateway",
    { config, replicas: 2 },
    "replicas: must be 1, got 2: level: belongs to one gateway; several share a Redis, config.store.url: redis://…",
  ],
  [
    "two replicas on a store in memory",
    { config: { servers, store: { url: "memory:" } }, replicas: 2 },
    "replicas: must be 1, got 2: memory: belongs to one gateway; several share a Redis, config.store.url: redis://…",
  ],
  [
    "an autoscaler before such a store",
    { config, autoscaling: { enabled: true } },
    "autoscaling.enabled: must be false: level: belongs to one gateway; several share a Redis, config.store.url: redis://…",
  ],
  [
    "a disruption budget before such a store",
    { config, podDisruptionBudget: { enabled: true } },
    "podDisruptionBudget.enabled: must be false, because it would protect nothing, or keep nodes from being drained: level: belongs to one gateway; several share a Redis, config.store.url: redis://…",
  ],
  [
    "a store that a variable names",
    { config: { servers, store: { url: "${STORE}" } }, env: { STORE: "memory:" } },
    "config.store.url: must begin with level:, memory:, redis:// or rediss:// (redis+cluster, redis+sentinel), because the replicas, their strategy and the volume follow from it; take only a password, user or host from a variable",
  ],
  [
    "no store",
    { config: { servers, store: null } },
    "config.store.url: must begin with level:, memory:, redis:// or rediss:// (redis+cluster, redis+sentinel), because the replicas, their strategy and the volume follow from it; take only a password, user or host from a variable",
  ],
  ...["level:/tmp/tasks", "level:./tasks", "level:/data/../etc", "level:/database"].map(
    (url) =>
      [
        `a store at ${url}`,
        { config: { servers, store: { url } } },
        `config.store.url: must be level:/data or a folder below it, where the volume is: the rest of the file system is read-only, got "${url}"`,
      ] as const,
  ),
  [
    "fewer replicas at most than at least",
    { config: { servers, store }, autoscaling: { enabled: true, minReplicas: 3, maxReplicas: 2 } },
    "autoscaling.maxReplicas: must be minReplicas (3) or more, got 2",
  ],
  [
    "a share of a processor that nobody asked for",
    { config: { servers, store }, autoscaling: { enabled: true }, resources: { requests: { cpu: null } } },
    "resources.requests.cpu: missing: autoscaling.targetCPUUtilizationPercentage is a part of it",
  ],
  [
    "an autoscaler that looks at nothing",
    {
      config: { servers, store },
      autoscaling: { enabled: true, targetCPUUtilizationPercentage: null },
    },
    "autoscaling: must have targetCPUUtilizationPercentage or metrics, else nothing says how many replicas are needed",
  ],
  [
    "credentials of callers, and no key",
    { config: { servers: forwarding, store } },
    'config.store.encryptionKeys: missing: calls carry the credentials of their callers (config.servers.reports.upstream.forwardHeaders), which are stored only encrypted, and without them no other replica can go on with a call; expected a list such as ["${TASKGATE_KEY}"], and secretEnv.TASKGATE_KEY',
  ],
  [
    "callers known by their credentials, and no key",
    { config: { servers, store, callers: { identify: "authorization" } } },
    'config.store.encryptionKeys: missing: calls carry the credentials of their callers (config.callers.identify: authorization), which are stored only encrypted, and without them no other replica can go on with a call; expected a list such as ["${TASKGATE_KEY}"], and secretEnv.TASKGATE_KEY',
  ],
  [
    "a variable that nothing sets",
    { config: { servers, admin: { token: "${ADMIN_TOKEN}" } } },
    "secretEnv.ADMIN_TOKEN: missing, but config says ${ADMIN_TOKEN}: name the Secret that has it, as { name: SECRET, key: KEY }, or give the value in env.ADMIN_TOKEN",
  ],
  [
    "what is no variable",
    { config: { servers: { reports: { upstream: { url: "http://reports/${a-b}" } } } } },
    'config: "${a-b}" does not name a variable; a plain "${" is written "$${"',
  ],
  [
    "a variable from no Secret",
    { config, secretEnv: { ADMIN_TOKEN: { key: "token" } } },
    "secretEnv.ADMIN_TOKEN.name: missing: must be the name of a Secret that there is",
  ],
  [
    "a variable from a Secret with an empty name",
    { config, secretEnv: { ADMIN_TOKEN: { name: "", key: "token" } } },
    "secretEnv.ADMIN_TOKEN.name: missing: must be the name of a Secret that there is",
  ],
  [
    "a variable from all of a Secret",
    { config, secretEnv: { ADMIN_TOKEN: { name: "taskgate" } } },
    "secretEnv.ADMIN_TOKEN.key: missing: must be the key in the Secret",
  ],
  [
    "a variable with two values",
    { config, env: { A: "1" }, secretEnv: { A: { name: "a", key: "a" } } },
    "env.A: is in secretEnv as well; give it once",
  ],
  [
    "a secret that anybody could read",
    { config: { servers, admin: { token: "t".repeat(16) } } },
    'config.admin.token: would be readable in the ConfigMap; must be "${NAME}", with the Secret that has it in secretEnv.NAME',
  ],
  [
    "a key that anybody could read",
    { config: { servers, store: { encryptionKeys: ["0".repeat(64)] } } },
    'config.store.encryptionKeys[0]: would be readable in the ConfigMap; must be "${NAME}", with the Secret that has it in secretEnv.NAME',
  ],
  [
    "a password that anybody could read",
    { config: { servers, store: { url: "redis://:secret@redis:6379" } } },
    'config.store.url: would be readable in the ConfigMap; must be "${NAME}", with the Secret that has it in secretEnv.NAME',
  ],
  [
    "a server's credential that anybody could read",
    {
      config: {
        servers: { a: { upstream: { url: "http://a/mcp", headers: { Authorization: "Bearer b" } } } },
      },
    },
    'config.servers.a.upstream.headers.Authorization: would be readable in the ConfigMap; must be "${NAME}", with the Secret that has it in secretEnv.NAME',
  ],
  [
    "a receiver's secret that anybody could read",
    { config: { servers, webhooks: { a: { url: "https://a.example/hook", secret: "whsec_abc" } } } },
    'config.webhooks.a.secret: would be readable in the ConfigMap; must be "${NAME}", with the Secret that has it in secretEnv.NAME',
  ],
  [
    "a port that a variable names",
    { config: { servers, listen: { port: "${PORT}" } }, env: { PORT: 8080 } },
    'config.listen.port: must be a number from 1024 to 65535, which the probes, the Service and the network policy name as well, got "${PORT}"',
  ],
  [
    "a port for programs with privileges",
    { config: { servers, listen: { port: 80 } } },
    "config.listen.port: must be a number from 1024 to 65535, which the probes, the Service and the network policy name as well, got 80",
  ],
  [
    "one port for both listeners",
    { config: { servers, admin: { port: 8080 } } },
    "config.admin.port: must not be the port of config.listen, which is 8080 as well",
  ],
  [
    "no admin listener for the probes",
    { config: { servers, admin: null } },
    "config.admin.port: must be a number from 1024 to 65535, which the probes, the Service and the network policy name as well, got null",
  ],
  [
    "a listener that only the pod reaches",
    { config: { servers, listen: { host: "127.0.0.1" } } },
    'config.listen.host: must be an address that others reach, such as 0.0.0.0 or "::": the node\'s probes and the Service come from outside the pod, got "127.0.0.1"',
  ],
  [
    "probes that only the pod could make",
    { config: { servers, admin: { host: "localhost" } } },
    'config.admin.host: must be an address that others reach, such as 0.0.0.0 or "::": the node\'s probes and the Service come from outside the pod, got "localhost"',
  ],
  [
    "calls with a time that a variable names",
    { config: { servers, limits: { drainTimeout: "${DRAIN}" } }, env: { DRAIN: "20s" } },
    'config.limits.drainTimeout: must be a duration such as 20s, because the pod gets ten seconds more to stop, got "${DRAIN}"',
  ],
  [
    "a pod that is killed before its calls have ended",
    {
      config: { servers, limits: { shutdownDelay: "3s", drainTimeout: "2m" } },
      terminationGracePeriodSeconds: 120,
    },
    "terminationGracePeriodSeconds: must be 138 or more (preStopSeconds, config.limits.shutdownDelay, config.limits.drainTimeout and ten seconds), got 120",
  ],
  [
    "an ingress without a host",
    { config, ingress: { enabled: true } },
    "ingress.hosts: must name at least one host, which the gateway is then told to answer",
  ],
  [
    "a host that the gateway refuses",
    {
      config: { servers, listen: { allowedHosts: ["gate"] } },
      ingress: { enabled: true, hosts: ["tools.example.com"] },
    },
    "config.listen.allowedHosts: must have tools.example.com, a host of ingress or httpRoute: the gateway would refuse every request for it",
  ],
  [
    "hosts that the gateway cannot compare",
    { config, ingress: { enabled: true, hosts: ["*.example.com"] } },
    "config.listen.allowedHosts: missing: must name the hosts that *.example.com stands for, because the gateway compares whole names",
  ],
  [
    "a certificate for another host",
    {
      config,
      ingress: { enabled: true, hosts: ["a.example.com"], tls: [{ hosts: ["b.example.com"] }] },
    },
    "ingress.tls: b.example.com must be one of ingress.hosts",
  ],
  [
    "a route of no Gateway",
    { config, httpRoute: { enabled: true, hostnames: ["tools.example.com"] } },
    "httpRoute.parentRefs: must name the Gateway, as { name: GATEWAY, namespace: NAMESPACE }",
  ],
  [
    "a route without a host",
    { config, httpRoute: { enabled: true, parentRefs: [{ name: "public" }] } },
    "httpRoute.hostnames: must name at least one host, which the gateway is then told to answer; or give config.listen.allowedHosts",
  ],
  [
    "no server",
    {},
    'config.servers: must have at least one server, such as reports: { upstream: { url: "http://reports.tools.svc.cluster.local:3001/mcp" } }',
  ],
  [
    "a server in a pod that starts none",
    { config: { servers: local } },
    "config.servers.reports.upstream.url: 127.0.0.1:3001 is the pod itself, where only `server` would start one; must be the address of a Service, or give server",
  ],
  [
    "a port where nothing listens",
    { config: { servers: { reports: { upstream: { url: "http://localhost:3002/mcp" } } } }, server },
    "config.servers.reports.upstream.url: must have a port of server.ports (3001), got 3002",
  ],
  [
    "a server that nobody asks",
    { config, server },
    "config.servers: none has the address of server; expected an upstream.url such as http://127.0.0.1:3001/mcp",
  ],
  [
    "a server without an image",
    { config: { servers: local }, server: { name: "reports" } },
    "server.image: missing: server is a container, with a name and an image",
  ],
  [
    "a server by the gateway's name",
    { config: { servers: local }, server: { ...server, name: "taskgate" } },
    "server.name: must not be taskgate, the name of the gateway's container",
  ],
  [
    "a server at the gateway's port",
    {
      config: { servers: { reports: { upstream: { url: "http://127.0.0.1:8080/mcp" } } } },
      server: { ...server, ports: [{ containerPort: 8080 }] },
    },
    "server.ports: must not have 8080, a port of the gateway in the same pod",
  ],
  [
    "metrics that nobody may fetch",
    { config, monitor: { kind: "PodMonitor" }, networkPolicy: { monitoring: [] } },
    "networkPolicy.monitoring: must name the pods that scrape, because monitor.kind is PodMonitor and nobody else reaches the admin port",
  ],
  [
    "a name that helm reads as true",
    { config: { servers: { true: servers.reports } } },
    "config.servers.true: must be in quotes: helm reads y, yes and on as true, and n, no and off as false",
  ],
  [
    "no image",
    { config, image: { repository: "" } },
    "image.repository: missing: must be where you have pushed the image",
  ],
];

/** What the schema refuses, and the place that helm names. */
export const UNKNOWN: readonly (readonly [what: string, values: Values, said: readonly string[]])[] = [
  ["a value that there is not", { replicaCount: 2 }, ["'replicaCount' not allowed"]],
  ["a misspelt part of a value", { ingress: { host: "a" } }, ["at '/ingress'", "'host' not allowed"]],
  ["a misspelt setting", { config: { listen: { prot: 1 } } }, ["at '/config/listen'", "'prot' not allowed"]],
  [
    "a misspelt setting of a server",
    { config: { servers: { a: { upstream: { url: "http://a/mcp" }, task: {} } } } },
    ["at '/config/servers/a'", "'task' not allowed"],
  ],
  [
    "a setting with a wrong value",
    { config: { limits: { drainTimeout: "20 seconds" } } },
    ["at '/config/limits/drainTimeout'", "does not match pattern"],
  ],
  ["a field that no container has", { server: { nmae: "a" } }, ["at '/server'", "'nmae' not allowed"]],
  ["a text for a number", { replicas: "2" }, ["at '/replicas'", "want integer"]],
  ["a name that is no variable", { env: { "a-b": "c" } }, ["invalid propertyName 'a-b'"]],
  ["another word", { monitor: { kind: "podmonitor" } }, ["at '/monitor/kind'", "must be one of"]],
  ["a value that is taken away", { service: null }, ["at ''", "missing property 'service'"]],
  ["a part that is taken away", { service: { port: null } }, ["at '/service'", "missing property 'port'"]],
  ["off without quotes", { config: { reload: false } }, ["at '/config/reload'", "got boolean, want string"]],
  ["half a digest", { image: { digest: "sha256:abc" } }, ["at '/image/digest'", "does not match pattern"]],
];
