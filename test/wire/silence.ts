/** A gateway that lets no stream be quiet for long, and what it has open. */

import { onTestFinished, vi } from "vitest";
import { KEEP_ALIVE } from "../../src/protocol/headers.ts";
import { OpenStreams } from "../../src/requests/open-streams.ts";
import { Conditions } from "../support/conditions.ts";
import type { Script } from "../support/scripted-server.ts";
import { type Story, type StorySettings, story } from "../support/story.ts";
import { call, type LegacySession, openSession } from "./legacy-session.ts";
import type { Header, OpenAnswer } from "./raw-client.ts";

export const KEEP_ALIVE_MS = 50;

export interface Silence extends Story {
  readonly session: LegacySession;
  /** How many streams the gateway keeps alive. */
  readonly open: number;
  /** Settles when there is none. */
  idle(): Promise<void>;
  /** Calls a tool with the id 1. */
  call(name: string, more?: readonly Header[]): OpenAnswer;
}

export async function silence(
  scripts: Readonly<Record<string, Script>>,
  settings: StorySettings = {},
): Promise<Silence> {
  let open = 0;
  const conditions = new Conditions(() => `${open} streams are open`);
  const { add } = OpenStreams.prototype;
  const added = vi.spyOn(OpenStreams.prototype, "add").mockImplementation(function (
    this: OpenStreams,
    stream,
  ) {
    const leave = add.call(this, stream);
    open = this.size;
    return () => {
      leave();
      open = this.size;
      conditions.check();
    };
  });
  onTestFinished(() => added.mockRestore());
  const told = await story(scripts, {
    ...settings,
    limits: { keepAliveMs: KEEP_ALIVE_MS, ...settings.limits },
  });
  const session = await openSession(told.url);
  return {
    ...told,
    session,
    get open() {
      return open;
    },
    idle: async () => {
      await conditions.found(() => open === 0 || undefined, "no stream to be open");
    },
    call: (name, more) => session.post(call(1, name), more),
  };
}

export function commentsIn(text: string): number {
  return text.split(KEEP_ALIVE).length - 1;
}

/** Settles when so many comments have come. */
export function comments(answer: OpenAnswer, atLeast = 3): Promise<OpenAnswer> {
  return answer.until((text) => commentsIn(text) >= atLeast, `${atLeast} comments`);
}

export function withoutComments(text: string): string {
  return text.replaceAll(KEEP_ALIVE, "");
}

/** The last event that is no comment. */
export function lastEvent(answer: OpenAnswer): string {
  return `${withoutComments(answer.text).split("\n\n").at(-2)}\n\n`;
}
