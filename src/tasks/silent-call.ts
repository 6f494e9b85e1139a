import { Silence } from "../ops/silence.ts";
import type { Call } from "./call.ts";

/**
 * Ends a call that has been sent and of which the server then says nothing for so long: neither an answer nor progress, nor anything else
 * in the course of the call. While it asks the user something, it waits for us.
 * @param unheard what the client is told of it
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
