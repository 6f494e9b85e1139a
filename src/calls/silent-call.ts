import { Silence } from "../lib/silence.ts";
import type { Call } from "./call.ts";

/**
 * Cancels a sent call when the server says nothing about it for `ms`: no answer, no progress, nor anything else in the course of
 * the call. Time in which the server waits for the user's answer does not count.
 * @param unheard the reason that the client gets
 */
export function endWhenSilent(call: Call, ms: number, unheard: string): void {
  const silence = new Silence(ms, () => call.cancel(unheard));
  const heard = () => silence.heard();
  call.listen({
    onSent: () => silence.listen(),
    onProgress: heard,
    onNotification: heard,
    onQuestions: () => {
      if (call.isAsking) silence.stop();
      else if (call.state === "sent") silence.listen();
    },
    onEnd: () => silence.stop(),
  });
}
