/**
 * A call that one gateway begins and another goes on with, without the gateways: each half is an `Upstream` with connections of its
 * own, and what passes between them is JSON.
 */

import { onTestFinished } from "vitest";
import { Call, type CallOptions } from "../../src/calls/call.ts";
import type { CallEnd } from "../../src/calls/call-end.ts";
import { Slots } from "../../src/calls/slots.ts";
import { createLog } from "../../src/log/log.ts";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import type { Checkpoint, InputRequest } from "../../src/store/task-store.ts";
import { upstreamAgents } from "../../src/upstream/transports/agents.ts";
import { Upstream } from "../../src/upstream/upstream.ts";
import { Conditions } from "./conditions.ts";
import { EVERYTHING } from "./story.ts";

/** What the owner of a task writes down of a call. */
export interface Record {
  readonly checkpoint: Checkpoint;
  readonly inputRequests: Readonly<{ [key: string]: InputRequest }>;
}

export interface HalfOptions {
  readonly maxSessions?: number;
  readonly sessions?: "lease" | "single";
  readonly slots?: Slots;
}

type Settings = Partial<Omit<CallOptions, "lease" | "rejoin" | "resume" | "inputRequests">>;

const OWNER = { caller: "ada", headers: {}, capabilities: EVERYTHING };
/** A server that is silent is asked again after five seconds, and one that is busy is waited for. */
const PATIENCE_MS = 120_000;

/** One gateway's half. Its connections are gone when the test ends. */
export function half(url: URL, options: HalfOptions = {}) {
  const agents = upstreamAgents();
  const upstream = new Upstream({
    config: {
      transport: "streamable-http",
      url,
      headers: {},
      forwardHeaders: [],
      sessions: options.sessions ?? "lease",
      ...(options.maxSessions === undefined ? {} : { maxSessions: options.maxSessions }),
      idleTimeoutMs: 60_000,
      startTimeoutMs: 30_000,
    },
    agents,
    clientInfo: { name: "half", version: "0" },
    maxMessageBytes: 1_000_000,
    log: createLog("silent"),
  });
  onTestFinished(async () => {
    await upstream.close();
    await agents.destroy();
  });
  const shared = {
    lease: (holder, over) => upstream.lease(OWNER, holder, over),
    slots: options.slots ?? new Slots({ maxConcurrent: 8, maxQueued: 8 }),
    caller: OWNER.caller,
    capabilities: OWNER.capabilities,
    method: "tools/call",
    params: { name: "job" },
    maxRuntimeMs: 60_000,
  } satisfies CallOptions;

  return {
    upstream,
    /** A call that is to be sent. */
    call: (settings: Settings = {}) => watched(new Call({ ...shared, ...settings })),
    /** The rest of a call that another half has begun. `isClients`: in a session that a client has opened. */
    rest: (record: Record, { isClients = false, ...settings }: Settings & { isClients?: boolean } = {}) => {
      const { checkpoint, inputRequests } = JSON.parse(JSON.stringify(record)) as Record;
      const { session } = checkpoint;
      return watched(
        new Call({
          ...shared,
          ...settings,
          resume: checkpoint,
          inputRequests,
          rejoin: (holder, over) => upstream.rejoin({ session, headers: {}, isClients }, holder, over),
        }),
      );
    },
    /** What becomes of its connections when a process is killed. */
    kill: () => agents.destroy(),
  };
}

export type WatchedCall = ReturnType<typeof watched>;

/** A call with what has been heard of it. It is over when the test ends. */
function watched(call: Call) {
  const heard: string[] = [];
  const conditions = new Conditions(
    () => `heard: ${heard.join(", ")}; ended: ${call.end?.kind}`,
    PATIENCE_MS,
  );
  const hear = (what: string) => () => {
    heard.push(what);
    conditions.check();
  };
  call.listen({
    onSent: hear("sent"),
    onAccepted: hear("accepted"),
    onProgress: ({ progress }) => hear(`progress ${progress}`)(),
    onQuestions: hear("questions"),
    onCheckpoint: hear("checkpoint"),
    onEnd: hear("end"),
  });
  onTestFinished(() => call.cancel("the test is over"));
  return {
    call,
    heard,
    until: async (condition: () => boolean, what: string) => {
      await conditions.found(() => condition() || undefined, what);
    },
    ended: (): Promise<CallEnd> => conditions.found(() => call.end, "the end"),
    /** Waits for something to be asked, and gives what its owner would write down then. */
    asked: async (): Promise<Record> => {
      await conditions.found(() => (call.isAsking && call.checkpoint) || undefined, "a question and a place");
      return { checkpoint: call.checkpoint as Checkpoint, inputRequests: call.inputRequests };
    },
    /** Waits until somebody else could go on with the call. */
    placed: async (): Promise<Record> => {
      const checkpoint = await conditions.found(() => call.checkpoint, "a place");
      return { checkpoint, inputRequests: call.inputRequests };
    },
  };
}

/** What a result says, or what the call ended with instead. */
export function said(end: CallEnd): unknown {
  if (end.kind !== "result") return end.kind === "ours" || end.kind === "error" ? end.error.message : end;
  const [first] = (end.result.content ?? []) as JsonObject[];
  return first?.text;
}
