import { rpc } from "../protocol/errors.ts";
import { checkRoutingHeaders, checkVersionHeader } from "../protocol/headers.ts";
import { legacyCapabilities } from "../protocol/legacy.ts";
import { declaresTasks, MODERN_VERSIONS, readEnvelope, TASKS_EXTENSION } from "../protocol/modern.ts";
import { discover, list, listTools, relay } from "./bridge.ts";
import { callTool, getPrompt, isRound, readResource } from "./calls.ts";
import type { ModernClass } from "./classify.ts";
import { type Asked, type Exchange, type Handler, handleBy, needsOwner, needsTime } from "./lane.ts";
import { isOurs, pass } from "./left.ts";
import { listen } from "./listen.ts";
import { admitted } from "./share.ts";
import { cancelTask, getTask, updateTask } from "./tasks.ts";

/** The methods of 2026-07-28 and of the Tasks extension. */
const HANDLERS: Readonly<Record<string, Handler<Exchange>>> = {
  "server/discover": { handle: discover },
  "tools/list": { handle: listTools },
  "tools/call": { handle: callTool, needs: [needsOwner, needsTimeToCall] },
  "prompts/list": { handle: list },
  "prompts/get": { handle: getPrompt, needs: [needsOwner, needsTimeToCall] },
  "resources/list": { handle: list },
  "resources/templates/list": { handle: list },
  "resources/read": { handle: readResource, needs: [needsOwner, needsTimeToCall] },
  "completion/complete": { handle: relay },
  "subscriptions/listen": { handle: listen, needs: [needsTime] },
  "tasks/get": { handle: getTask, needs: [needsTasks, needsOwner] },
  "tasks/update": { handle: updateTask, needs: [needsTasks, needsOwner] },
  "tasks/cancel": { handle: cancelTask, needs: [needsTasks, needsOwner] },
};

/** Methods that are none in this revision, though a legacy server might still answer them. */
const GONE =
  /^(?:initialize|ping|logging\/setLevel|resources\/(?:un)?subscribe|tasks\/.*|notifications\/.*|roots\/.*|sampling\/.*|elicitation\/.*)$/;

/**
 * Answers a modern request. A server that speaks the revision itself does so, before anything is checked: nothing that we do
 * not know is refused, and what is wrong the server says. What has to do with tasks stays ours all the same.
 */
export async function answerModern(asked: Asked, what: ModernClass): Promise<void> {
  const turn = admitted(asked, asked);
  if (turn !== undefined) await turn;
  const { server } = asked;
  const isPassed = server !== undefined && what.is === "passThrough";
  if (isPassed && !(what.unlessOurs && (await isOurs(asked, what.unlessOurs)))) return pass(server, asked);
  return answerChecked(asked);
}

/**
 * Answers a request ourselves. The checks come in the order that the specification's codes imply: envelope, version,
 * headers, method, capability; a lane checks the rest (2026-07-28, Streamable HTTP §Server Validation).
 */
async function answerChecked(exchange: Asked): Promise<void> {
  const { headers, method, params } = exchange;
  const envelope = readEnvelope(params);
  if (headers !== undefined) checkVersionHeader(headers, envelope.protocolVersion);
  if (!MODERN_VERSIONS.includes(envelope.protocolVersion)) {
    throw rpc.unsupportedVersion(envelope.protocolVersion, MODERN_VERSIONS);
  }
  if (headers !== undefined) checkRoutingHeaders(headers, method, params);
  const handler = handlerOf(method);
  const sessionOwner = {
    ...exchange.sessionOwner,
    capabilities: legacyCapabilities(envelope.capabilities),
  };
  await handleBy(handler, { ...exchange, envelope, sessionOwner });
}

/** What we do not know, the server may: extensions have methods of their own (design: law 7). */
function handlerOf(method: string): Handler<Exchange> {
  const known = Object.hasOwn(HANDLERS, method) ? HANDLERS[method] : undefined;
  if (known !== undefined) return known;
  if (GONE.test(method)) throw rpc.methodNotFound(method);
  return { handle: relay };
}

/** The client knows what a task is (Tasks §Capability Negotiation). @throws -32021 */
function needsTasks({ envelope }: Exchange): void {
  if (!declaresTasks(envelope.capabilities))
    throw rpc.missingCapability({ extensions: { [TASKS_EXTENSION]: {} } });
}

/** Another round of a call that was begun is taken for as long as there is an answer to it. */
function needsTimeToCall(exchange: Exchange): void {
  if (!isRound(exchange)) needsTime(exchange);
}
