/** What is looked at in documents of Kubernetes: parsed YAML, as deep as a test needs. */

import type { Json } from "../support/modern-client.ts";

export interface Document {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> } & Json;
  readonly spec: Json;
  readonly data?: Readonly<Record<string, string>>;
}

/** The only document of a kind, and by that name if it is given. @throws unless there is one */
export function only(documents: readonly Document[], kind: string, name?: string): Document {
  const found = ofKind(documents, kind).filter(
    ({ metadata }) => name === undefined || metadata.name === name,
  );
  if (found.length !== 1) throw new Error(`${found.length} documents are a ${kind} ${name ?? ""}`);
  return found[0] as Document;
}

export function ofKind(documents: readonly Document[], kind: string): readonly Document[] {
  return documents.filter((document) => document.kind === kind);
}

/** The pods' specification of the Deployment, and the gateway's container in it. */
export function podOf(documents: readonly Document[]): { readonly pod: Json; readonly gateway: Json } {
  const { spec } = only(documents, "Deployment");
  const pod = spec.template.spec;
  const gateway = pod.containers.find(({ name }: Json) => name === "taskgate");
  if (gateway === undefined) throw new Error("no container is the gateway's");
  return { pod, gateway };
}

/** The port by a name or a number that a container has. */
export function portOf(container: Json, nameOrNumber: string | number): number | undefined {
  return (container.ports ?? []).find(
    ({ name, containerPort }: Json) => name === nameOrNumber || containerPort === nameOrNumber,
  )?.containerPort;
}
