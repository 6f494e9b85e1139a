/** The names by which the documents of one rendering know each other. */

import type { Json } from "../support/modern-client.ts";
import { type Document, ofKind, only, portOf } from "./documents.ts";

/** Every name that leads nowhere: selectors, ports, volumes, claims, accounts, Services. */
export function dangling(documents: readonly Document[]): readonly string[] {
  const { spec } = only(documents, "Deployment");
  const pod = spec.template.spec;
  const labels = spec.template.metadata.labels;
  const containers = [...(pod.initContainers ?? []), ...pod.containers];
  const wrong: string[] = [];
  const expect = (isThere: boolean, what: string) => void (isThere || wrong.push(what));
  const selects = (selector: Json, what: string) =>
    expect(
      Object.entries(selector).every(([key, value]) => labels[key] === value),
      `${what} selects no pods`,
    );
  const named = (kind: string, name: string) =>
    documents.some((document) => document.kind === kind && document.metadata.name === name);
  const onPods = (port: string | number, what: string) =>
    expect(
      containers.some((container) => portOf(container, port) !== undefined),
      `${what}: the pods have no port ${port}`,
    );
  const atService = (name: string, port: string | number, what: string) => {
    const service = documents.find(({ kind, metadata }) => kind === "Service" && metadata.name === name);
    const ports: Json[] = service?.spec.ports ?? [];
    expect(
      ports.some((each) => each.name === port || each.port === port),
      `${what}: no Service ${name} has a port ${port}`,
    );
  };

  selects(spec.selector.matchLabels, "Deployment");
  for (const container of containers) {
    const mounted = (container.volumeMounts ?? []).map(({ name }: Json) => name);
    const there = (pod.volumes ?? []).map(({ name }: Json) => name);
    for (const name of mounted) expect(there.includes(name), `${container.name}: no volume ${name}`);
    for (const name of ["startupProbe", "readinessProbe", "livenessProbe"]) {
      const port = container[name]?.httpGet?.port;
      if (port === undefined) continue;
      expect(portOf(container, port) !== undefined, `${container.name}: ${name}: it has no port ${port}`);
    }
  }
  for (const { name, configMap } of pod.volumes ?? [])
    if (configMap) expect(named("ConfigMap", configMap.name), `volume ${name}: no ConfigMap`);
  const names = containers.flatMap(({ ports = [] }: Json) => ports.map(({ name }: Json) => name));
  expect(new Set(names).size === names.length, `two ports of a pod have one name: ${names}`);

  for (const { metadata, spec: service } of ofKind(documents, "Service")) {
    selects(service.selector, `Service ${metadata.name}`);
    for (const { port, targetPort } of service.ports) onPods(targetPort ?? port, `Service ${metadata.name}`);
  }
  for (const { spec: policy } of ofKind(documents, "NetworkPolicy")) {
    selects(policy.podSelector.matchLabels, "NetworkPolicy");
    for (const { ports } of policy.ingress) for (const { port } of ports) onPods(port, "NetworkPolicy");
  }
  for (const { spec: budget } of ofKind(documents, "PodDisruptionBudget"))
    selects(budget.selector.matchLabels, "PodDisruptionBudget");
  for (const { spec: scaler } of ofKind(documents, "HorizontalPodAutoscaler")) {
    expect(named("Deployment", scaler.scaleTargetRef.name), "HorizontalPodAutoscaler: no such Deployment");
    expect(spec.replicas === undefined, "HorizontalPodAutoscaler: the Deployment says how many replicas");
  }
  for (const { spec: monitor } of ofKind(documents, "PodMonitor")) {
    selects(monitor.selector.matchLabels, "PodMonitor");
    for (const { port } of monitor.podMetricsEndpoints) onPods(port, "PodMonitor");
  }
  for (const { spec: monitor } of ofKind(documents, "ServiceMonitor")) {
    const wanted = Object.entries(monitor.selector.matchLabels);
    const found = ofKind(documents, "Service").filter(({ metadata }) =>
      wanted.every(([key, value]) => metadata.labels?.[key] === value),
    );
    expect(found.length === 1, `ServiceMonitor selects ${found.length} Services`);
    for (const { port } of monitor.endpoints)
      atService(found[0]?.metadata.name ?? "", port, "ServiceMonitor");
  }
  for (const { spec: ingress } of ofKind(documents, "Ingress"))
    for (const { http } of ingress.rules)
      for (const { backend } of http.paths)
        atService(backend.service.name, backend.service.port.name ?? backend.service.port.number, "Ingress");
  for (const { spec: route } of ofKind(documents, "HTTPRoute"))
    for (const { backendRefs } of route.rules)
      for (const { name, port } of backendRefs) atService(name, port, "HTTPRoute");
  return wrong;
}
