import { UpstreamFailure } from "../failure.ts";

/**
 * How servers of the TypeScript SDK say that they have a session already and can have no other. A server with one Streamable HTTP transport
 * for all clients (400, since 1.10) takes no other session even after the first has ended; one with one protocol object for all (500, since
 * 1.26) does.
 */
const FOR_GOOD = /\balready initialized\b/i;
const FOR_NOW = /\balready connected to a transport\b/i;

/** Whether the server refused because it has a session already, and not because of this client or this request. */
export function saysOneSession({ message, facts: { status } }: UpstreamFailure): boolean {
  const isRefusal = status !== undefined && status >= 400;
  return isRefusal && (FOR_GOOD.test(message) || FOR_NOW.test(message));
}

/** Whether such a server takes another session once its present one has ended. */
export function takesAnotherLater({ message }: UpstreamFailure): boolean {
  return FOR_NOW.test(message);
}

/** Thrown in place of the refusal when the gateway has the only session: the request can take its turn in that. */
export class OnlyOneSession extends UpstreamFailure {}

/** Somebody else has the only session, and nothing that the gateway can do makes the server take another. */
export function takenByAnother({ message, facts }: UpstreamFailure): UpstreamFailure {
  const why = "it can have one session only, and another client has that, or one that has gone";
  return new UpstreamFailure(`${message} (${why}: restart the server, and let nobody else reach it)`, facts);
}

/** The gateway has the only session for another caller. */
export function anothersSession(): UpstreamFailure {
  const message =
    "The server can have one session only, and the gateway has it for another caller or other headers";
  return new UpstreamFailure(message, { mayHaveRun: false, status: 503 });
}
