/** Where the foreign programs are. Each is an absolute path; asking for one that is not installed throws, and says what to do. */

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { PROGRAMS } from "./kubernetes/unpack.ts";

/** Where the programs are installed, by the name that `install.ts` knows them by. */
export const FOLDERS = {
  /** The official conformance suite. */
  conformance: `${import.meta.dirname}/conformance`,
  /** helm, kubectl, and models of what they write. */
  kubernetes: `${import.meta.dirname}/kubernetes`,
  node24: `${import.meta.dirname}/node24`,
  /** Servers, clients and other gateways. */
  peers: import.meta.dirname,
} as const;

/** The suite and the inspector need Node 22. */
export const needsNode24 = (): boolean => Number.parseInt(process.versions.node, 10) < 22;

/** A Node 24 executable. */
export const node24 = (): string => present(`${FOLDERS.node24}/node_modules/node24/bin/node`);

/** An executable of a Node that runs the suite and the inspector. */
export const newerNode = (): string => (needsNode24() ? node24() : process.execPath);

/** npm has helm and kubectl for Linux on x64 only. */
export const hasKubernetesPrograms = (): boolean => process.platform === "linux" && process.arch === "x64";

export const helm = (): string => present(`${PROGRAMS}/helm`);

export const kubectl = (): string => present(`${PROGRAMS}/kubectl`);

/** A module of the models of Kubernetes' documents, such as `kubernetes-models/apps/v1/Deployment.js`. */
export const kubernetesModel = (module: string): string =>
  present(`${FOLDERS.kubernetes}/node_modules/${module}`);

/** The script of the official conformance suite; run it with `newerNode()`. */
export const conformance = (): string =>
  present(`${FOLDERS.conformance}/node_modules/@modelcontextprotocol/conformance/dist/index.js`);

/** The script of the MCP inspector (`--cli`); run it with `newerNode()`. */
export const inspector = (): string =>
  installed("@modelcontextprotocol/inspector/clients/launcher/build/index.js");

/** The module of the AI SDK's MCP client, and of its receiver of events; it needs `newerNode()`. */
export const aiSdkMcp = (): string => installed("@ai-sdk/mcp/dist/index.js");

/** The script of the npm package mcp-proxy. */
export const mcpProxy = (): string => installed("mcp-proxy/dist/bin/mcp-proxy.mjs");

/** The script of the inspector of the 1.x generation (`--cli`); run it with `newerNode()`. */
export const inspector1 = (): string => installed("inspector-1/cli/build/cli.js");

/** The script of mcp-remote, which serves the server at a URL on its standard streams. */
export const mcpRemote = (): string => installed("mcp-remote/dist/proxy.js");

/** The script of the npm package supergateway. */
export const supergateway = (): string => installed("supergateway/dist/index.js");

export type SdkRelease = "1.10" | "1.22" | "1.32";

/** A module of a release of the v1 SDK, e.g. `client/index`. */
export function sdk(release: SdkRelease, module: string): string {
  switch (release) {
    case "1.10":
      return installed(`sdk-1-10/dist/esm/${module}.js`);
    case "1.22":
      return installed(`sdk-1-22/dist/esm/${module}.js`);
    case "1.32":
      return present(`${root}/node_modules/@modelcontextprotocol/sdk/dist/esm/${module}.js`);
  }
}

export type EverythingRelease = "2025.4.28" | "2025.9.25" | "2025.12.18";
export type EverythingTransport = "streamableHttp" | "sse" | "stdio";

/**
 * A script of a release of server-everything, to be run with any node. The HTTP ones listen on the environment's `PORT`,
 * and do not report which port they got, so that 0 is of no use.
 */
export function everything(
  release: EverythingRelease,
  transport: EverythingTransport = "streamableHttp",
): string {
  const script = release === "2025.4.28" && transport === "stdio" ? "index" : transport;
  switch (release) {
    case "2025.4.28":
      return installed(`everything-2025-04/dist/${script}.js`);
    case "2025.9.25":
      return installed(`everything-2025-09/dist/${script}.js`);
    case "2025.12.18":
      return present(`${root}/node_modules/@modelcontextprotocol/server-everything/dist/${script}.js`);
  }
}

const root = resolve(import.meta.dirname, "../..");

const installed = (path: string): string => present(`${import.meta.dirname}/node_modules/${path}`);

function present(path: string): string {
  if (!existsSync(path)) throw new Error(`${path} is missing; npx tsx test/peers/install.ts installs it`);
  return path;
}
