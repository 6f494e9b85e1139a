/** Servers, and what is said to each. */

import { resolve } from "node:path";
import { onTestFinished } from "vitest";
import { startServerProcess } from "../real/server-process.ts";
import { startEverything } from "../support/everything-process.ts";
import { startLegacyEverythingServer } from "../support/legacy-everything-server.ts";
import { speakOverSse } from "./http-sse-session.ts";
import { askOdd, startOddServer } from "./odd.ts";
import type { Recording } from "./recording.ts";
import { type Spoken, speak } from "./script.ts";

export interface Compared {
  /** Starts the server anew: what one session does to it must not show in another. */
  readonly start: () => Promise<URL>;
  readonly versions: readonly string[];
  readonly speak: (url: URL, version: string) => Promise<Recording>;
}

const EXAMPLES = resolve(
  import.meta.dirname,
  "../../node_modules/@modelcontextprotocol/sdk/dist/esm/examples/server",
);
const ALL_VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

export const COMPARED: Readonly<Record<string, Compared>> = {
  "a server of the v1 SDK that keeps its events": {
    start: async () => {
      const server = await startLegacyEverythingServer({ asksOn: "call", isResumable: true });
      onTestFinished(server.close);
      return server.url;
    },
    versions: ALL_VERSIONS,
    speak: speaking({
      plain: ["test_image_content"],
      progress: ["test_tool_with_progress"],
      asks: ["test_elicitation", { message: "Who?" }],
      tells: { tool: ["test_trigger_tool_change"], text: "list_changed" },
    }),
  },
  "the example of the v1 SDK that answers with JSON only": {
    start: () => startExample("jsonResponseStreamableHttp"),
    versions: ["2025-03-26", "2025-11-25"],
    speak: speaking({ plain: ["greet", { name: "é✓" }], progress: ["greet", { name: "Ada" }] }),
  },
  "the example of the v1 SDK with tasks of its own": {
    start: () => startExample("simpleStreamableHttp"),
    versions: ["2025-06-18", "2025-11-25"],
    speak: speaking({
      plain: ["list-files"],
      progress: ["greet", { name: "Ada" }],
      asks: ["collect-user-info", { infoType: "feedback" }],
    }),
  },
  "server-everything 2025.12.18": {
    start: () => startEverything("2025.12.18"),
    versions: ["2025-06-18", "2025-11-25"],
    speak: speaking({
      plain: ["echo", { message: "é✓" }],
      progress: ["longRunningOperation", { duration: 0.2, steps: 2 }],
      asks: ["startElicitation"],
    }),
  },
  "server-everything 2025.12.18 over HTTP+SSE": {
    start: () => startEverything("2025.12.18", "sse"),
    versions: ["2024-11-05"],
    speak: speakOverSse,
  },
  "a server that does what it likes": { start: startOddServer, versions: ["any"], speak: askOdd },
};

function speaking(spoken: Omit<Spoken, "version">): Compared["speak"] {
  return (url, version) => speak(url, { ...spoken, version });
}

function startExample(name: string): Promise<URL> {
  return startServerProcess(resolve(EXAMPLES, `${name}.js`), (cleanUp) => void onTestFinished(cleanUp));
}
