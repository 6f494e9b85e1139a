/** Whether documents are what the API server would take, as far as models of its kinds can say. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { FOLDERS, kubernetesModel } from "../peers/peers.ts";
import type { Document } from "./documents.ts";

const TSC = resolve(import.meta.dirname, "../../node_modules/typescript/bin/tsc");
const CRDS: Readonly<Record<string, string>> = {
  "gateway.networking.k8s.io": "@kubernetes-models/gateway-api",
  "monitoring.coreos.com": "@kubernetes-models/prometheus-operator",
};

/** Each document's faults: values of a wrong type or form, and missing ones. The models overlook fields that do not exist. */
export async function wrongValues(documents: readonly Document[]): Promise<readonly string[]> {
  const faults = await Promise.all(documents.map(wrongValuesOf));
  return faults.flat();
}

async function wrongValuesOf(document: Document): Promise<readonly string[]> {
  const { kind, metadata } = document;
  const { [kind]: Model } = await import(kubernetesModel(`${moduleOf(document)}.js`));
  try {
    new Model(document).validate();
    return [];
  } catch (error) {
    return [`${kind} ${metadata.name}: ${(error as Error).message}`];
  }
}

/**
 * What the compiler says about the documents as literals of their kinds: fields that do not exist, above all. All of them in one run,
 * because the compiler takes a second to start.
 */
export async function wrongFields(documents: readonly Document[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "taskgate-types-"));
  try {
    await symlink(join(FOLDERS.kubernetes, "node_modules"), join(folder, "node_modules"));
    await writeFile(join(folder, "package.json"), '{ "type": "module" }');
    await writeFile(join(folder, "documents.ts"), documents.map(literal).join(""));
    const flags = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--types", ""];
    const child = spawn(process.execPath, [TSC, ...flags, "documents.ts"], { cwd: folder });
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
    await once(child, "close");
    return said;
  } finally {
    await rm(folder, { recursive: true });
  }
}

function literal(document: Document, at: number): string {
  const type = `import(${JSON.stringify(moduleOf(document))}).I${document.kind}`;
  return `export const d${at}: ${type} = ${JSON.stringify(document)};\n`;
}

function moduleOf({ apiVersion, kind }: Document): string {
  const [group = ""] = apiVersion.split("/");
  return `${CRDS[group] ?? "kubernetes-models"}/${apiVersion}/${kind}`;
}
