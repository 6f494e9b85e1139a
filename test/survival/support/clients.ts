import type { JsonObject } from "../../../src/protocol/jsonrpc.ts";
import { type Answer, ModernClient, TASKS } from "../../support/modern-client.ts";

export type TaskAnswer = Pick<Answer, "status" | "message" | "text">;

/** What it takes to have tasks: requests as 2026-07-28 has them, whatever the client makes of them. */
export interface TaskClient {
  /** Rejects when the connection is lost, or the signal says so. */
  send(
    method: string,
    params: JsonObject,
    options: { readonly id?: unknown; readonly signal?: AbortSignal },
  ): Promise<TaskAnswer>;
}

/** A client that declares tasks, and that its user can be asked. */
export const CAPABILITIES = { ...TASKS, elicitation: { form: {} } };

export function clientOf(url: URL): ModernClient {
  return new ModernClient(url, { capabilities: CAPABILITIES });
}
