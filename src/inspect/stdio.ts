import type { StdioUpstreamConfig } from "../config/config.ts";
import { envelopeOf } from "../protocol/modern.ts";
import { toFailure } from "../upstreams/failure.ts";
import { hasTasks, type ModernDescription, readDiscoverResult } from "../upstreams/probe.ts";
import type { Facts } from "./facts.ts";
import { legacyStory } from "./legacy.ts";
import type { InspectionOptions } from "./options.ts";
import { CLIENT_INFO, Sessions } from "./sessions.ts";
import { patience, Unfit } from "./unfit.ts";

/** Many servers never answer a method that they do not know. */
const DISCOVER_MS = 5_000;

const OLDER_WAY = "Over stdio this version of the gateway speaks to it as to a legacy server.";

/** Starts the server as often as there are sessions to be had: each has a process of its own. @throws Unfit, Misuse */
export async function inspectStdio(config: StdioUpstreamConfig, options: InspectionOptions): Promise<Facts> {
  const { timeoutMs, call } = options;
  const sessions = new Sessions({ ...options, config });
  const target = [config.command, ...config.args].join(" ");
  try {
    const modern = await discovered(sessions, Math.min(timeoutMs, DISCOVER_MS));
    const startedAt = performance.now();
    const first = await sessions.open({}).catch((error: unknown) => {
      throw refused(config.command, toFailure(error).message, modern);
    });
    const startMs = Math.round(performance.now() - startedAt);
    const { legacy, found } = await legacyStory(first, sessions, call);
    return {
      target,
      transport: "stdio",
      server: first.description,
      ...(modern === undefined
        ? {}
        : { modern: { versions: modern.supportedVersions, hasTasks: hasTasks(modern) } }),
      legacy: { ...legacy, startMs },
      ...found,
      remarks: [
        ...(modern === undefined ? [] : [OLDER_WAY]),
        ...sessions.garbage.slice(0, 1).map((line) => `It writes to stdout what is no message: ${line}`),
      ],
    };
  } finally {
    await sessions.close();
  }
}

/** What the server says of itself as one of 2026-07-28; what is no such answer is none (2026-07-28, stdio §Backward Compatibility). */
async function discovered(sessions: Sessions, timeoutMs: number): Promise<ModernDescription | undefined> {
  const _meta = envelopeOf(CLIENT_INFO, {});
  const response = await sessions.once("server/discover", { _meta }, timeoutMs).catch(() => undefined);
  return response === undefined || "error" in response ? undefined : readDiscoverResult(response.result);
}

function refused(command: string, reason: string, modern: ModernDescription | undefined): Unfit {
  if (modern === undefined) return new Unfit(`${command} cannot be inspected: ${reason}`, patience(reason));
  const versions = modern.supportedVersions.join(", ");
  return new Unfit(`${command} speaks ${versions} over stdio and nothing older: ${reason}`, [
    "This version can stand in front of such servers over HTTP only.",
  ]);
}
