import { UpstreamFailure } from "./failure.ts";

/**
 * How servers say that they have a session already and can have no other: the TypeScript SDK where one transport of Streamable HTTP is for
 * all clients (400, since 1.10), which takes no other session even after the end of the first, and where one protocol object is (500,
 * since 1.26), which does.
 */
const FOR_GOOD = /\balready initialized\b/i;
const FOR_NOW = /\balready connected to a transport\b/i;

/** Whether the server refused another session, and not this client or this request. */
export function saysOneSession({ message, facts: { status } }: UpstreamFailure): boolean {
  const isRefusal = status !== undefined && status >= 400;
  return isRefusal && (FOR_GOOD.test(message) || FOR_NOW.test(message));
}

/** Whether a server that said so takes another session once the one that it has is over. */
export function takesAnotherLater({ message }: UpstreamFailure): boolean {
  return FOR_NOW.test(message);
}

/** Thrown in place of the refusal when the server has a session of ours: the request can have its turn in that. */
export class OnlyOneSession extends UpstreamFailure {}

/** What is told when somebody else has the only session: nothing that the gateway can do makes the server take another. */
export function takenByAnother({ message, facts }: UpstreamFailure): UpstreamFailure {
  const why = "it can have one session only, and another client has that, or one that has gone";
  return new UpstreamFailure(`${message} (${why}: restart the server, and let nobody else reach it)`, facts);
}

/** What is told when the only session is another caller's. */
export function anothersSession(): UpstreamFailure {
  const message =
    "The server can have one session only, and the gateway has it for another caller or other headers";
  return new UpstreamFailure(message, { mayHaveRun: false, status: 503 });
}
