import { rpc } from "../protocol/errors.ts";
import { checkRoutingHeaders, checkVersionHeader } from "../protocol/headers.ts";
import { bridgedCapabilities } from "../protocol/legacy.ts";
import { declaresTasks, MODERN_VERSIONS, readEnvelope, tasksNeeded } from "../protocol/modern.ts";
import type { Forwarder } from "../proxy/forwarder.ts";
import { Admission } from "../requests/admission.ts";
import type { ModernClass } from "../requests/classify.ts";
import { ownTool } from "../requests/fallback.ts";
import {
  type Asked,
  type Exchange,
  type Handler,
  handleBy,
  type Need,
  needsOwner,
  needsTime,
  type Services,
} from "../requests/request.ts";
import { discoverer, list, relay, toolLister } from "./bridge.ts";
import { callMethods, isRound } from "./calls.ts";
import { eventMethods } from "./events.ts";
import { listener } from "./listen.ts";
import { isOurs, passer } from "./pass-through.ts";
import { taskMethods } from "./tasks.ts";
import { isAboutOurEvents } from "./told-events.ts";

/** Answers a modern request, once it is decided who answers it. */
export type ModernHandler = (asked: Asked, what: ModernClass) => Promise<void>;

/**
 * Answers modern requests. A server that speaks the revision gets them before any check: the gateway refuses nothing that it does not know,
 * and the server reports the errors. Only what concerns tasks stays with the gateway.
 */
export function modernHandler(services: Services, forwarder: Forwarder): ModernHandler {
  const admission = new Admission(services);
  const handlers = handlersOf(services, admission);
  const pass = passer(services, forwarder);
  return async (asked, what) => {
    const turn = admission.admitted(asked, asked);
    if (turn !== undefined) await turn;
    const { server } = asked;
    const isPassed = server !== undefined && what.is === "passThrough" && !isAboutOurEvents(services, asked);
    if (isPassed && !(what.unlessOurs && (await isOurs(services, asked, what.unlessOurs))))
      return pass(server, asked);
    const exchange = checked(asked);
    await handleBy(handlerOf(handlers, asked.method), exchange);
  };
}

type Handlers = Readonly<Record<string, Handler<Exchange>>>;

/** The methods of 2026-07-28 and of the Tasks extension, and what each needs. */
function handlersOf(services: Services, admission: Admission): Handlers {
  const { callTool, getPrompt, readResource } = callMethods(services, admission);
  const { getTask, updateTask, cancelTask } = taskMethods(services, admission);
  const time = needsTime(services);
  // The gateway takes another round of a call that has begun, or the question for its result, for as long as there is an answer.
  const timeToCall: Need<Exchange> = (exchange) => isRound(exchange) || isOwn(exchange) || time(exchange);
  return {
    "server/discover": { handle: discoverer(services) },
    "tools/list": { handle: toolLister(services) },
    "tools/call": { handle: callTool, needs: [needsOwner, timeToCall] },
    "prompts/list": { handle: list },
    "prompts/get": { handle: getPrompt, needs: [needsOwner, timeToCall] },
    "resources/list": { handle: list },
    "resources/templates/list": { handle: list },
    "resources/read": { handle: readResource, needs: [needsOwner, timeToCall] },
    "completion/complete": { handle: relay },
    "subscriptions/listen": { handle: listener(services, admission), needs: [time] },
    "tasks/get": { handle: getTask, needs: [needsTasks, needsOwner] },
    "tasks/update": { handle: updateTask, needs: [needsTasks, needsOwner] },
    "tasks/cancel": { handle: cancelTask, needs: [needsTasks, needsOwner] },
    ...eventMethods(services),
  };
}

/** The client declares that it knows tasks (Tasks §Capability Negotiation). @throws -32021 */
const needsTasks: Need<Exchange> = ({ envelope }) => {
  if (!declaresTasks(envelope.capabilities)) throw tasksNeeded();
};

function isOwn({ route, params }: Exchange): boolean {
  return ownTool(route, params.name) !== undefined;
}

/** Methods that this revision does not have, though a legacy server might still answer them. */
const GONE =
  /^(?:initialize|ping|logging\/setLevel|resources\/(?:un)?subscribe|tasks\/.*|notifications\/.*|roots\/.*|sampling\/.*|elicitation\/.*)$/;

/** Passes an unknown method to the server, which may know it: extensions have methods of their own. */
function handlerOf(handlers: Handlers, method: string): Handler<Exchange> {
  const known = Object.hasOwn(handlers, method) ? handlers[method] : undefined;
  if (known !== undefined) return known;
  if (GONE.test(method)) throw rpc.methodNotFound(method);
  return { handle: relay };
}

/**
 * Checks a request that the gateway answers itself, in the order that the specification's codes imply: envelope, version, headers; then
 * method and capability, and a handler checks the rest (2026-07-28, Streamable HTTP §Server Validation).
 */
function checked(asked: Asked): Exchange {
  const { sessionOwner, ...rest } = asked;
  const { headers, method, params } = rest;
  const envelope = readEnvelope(params);
  if (headers !== undefined) checkVersionHeader(headers, envelope.protocolVersion);
  if (!MODERN_VERSIONS.includes(envelope.protocolVersion)) {
    throw rpc.unsupportedVersion(envelope.protocolVersion, MODERN_VERSIONS);
  }
  if (headers !== undefined) checkRoutingHeaders(headers, method, params);
  const capabilities = bridgedCapabilities(envelope.capabilities);
  const { caller, isIdentified } = sessionOwner;
  const { client } = envelope;
  const owner = { caller, isIdentified, headers: sessionOwner.headers, capabilities, client };
  return { envelope, sessionOwner: owner, ...rest };
}
