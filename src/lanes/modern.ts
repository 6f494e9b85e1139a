import { rpc } from "../protocol/errors.ts";
import { checkRoutingHeaders, checkVersionHeader } from "../protocol/headers.ts";
import { declaresTasks, MODERN_VERSIONS, readEnvelope, TASKS_EXTENSION } from "../protocol/modern.ts";
import { discover, list, listTools, relay } from "./bridge.ts";
import { callTool, getPrompt, readResource } from "./calls.ts";
import type { ModernClass } from "./classify.ts";
import type { Asked, Lane } from "./lane.ts";
import { isOurs, pass } from "./left.ts";
import { listen } from "./listen.ts";
import { admitted } from "./share.ts";
import { cancelTask, getTask, updateTask } from "./tasks.ts";

/** The methods of 2026-07-28 and of the Tasks extension. */
const LANES: Readonly<Record<string, Lane>> = {
  "server/discover": discover,
  "tools/list": listTools,
  "tools/call": callTool,
  "prompts/list": list,
  "prompts/get": getPrompt,
  "resources/list": list,
  "resources/templates/list": list,
  "resources/read": readResource,
  "completion/complete": relay,
  "subscriptions/listen": listen,
  "tasks/get": getTask,
  "tasks/update": updateTask,
  "tasks/cancel": cancelTask,
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
  const lane = laneOf(method);
  if (method.startsWith("tasks/") && !declaresTasks(envelope.capabilities)) {
    throw rpc.missingCapability({ extensions: { [TASKS_EXTENSION]: {} } });
  }
  await lane({ ...exchange, envelope });
}

/** What we do not know, the server may: extensions have methods of their own and pass untouched. */
function laneOf(method: string): Lane {
  const known = Object.hasOwn(LANES, method) ? LANES[method] : undefined;
  if (known !== undefined) return known;
  if (GONE.test(method)) throw rpc.methodNotFound(method);
  return relay;
}
