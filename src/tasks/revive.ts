import type { CallOptions } from "../calls/call.ts";
import { type NewCall, plainCall } from "../calls/new-call.ts";
import type { Policy } from "../calls/policy.ts";
import type { Slots } from "../calls/slots.ts";
import type { StoredCall, TaskRecord } from "../store/task-store.ts";
import { UpstreamFailure } from "../upstream/failure.ts";
import type { Lease } from "../upstream/sessions/pool.ts";
import type { SessionHolder } from "../upstream/sessions/session.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { Revive } from "./orphans.ts";

/** What it takes to make calls on a route. */
export interface RevivalRoute {
  readonly upstream: Upstream;
  readonly slots: Slots;
  readonly policy: Policy;
}

/** A resumed call has at least this much time, however long it ran before. */
const MIN_RUNTIME_MS = 10_000;

/**
 * Makes orphaned calls of the routes that there are. A call that was never sent is sent; one whose answer can still be heard is resumed; one whose server
 * asked goes on with its next round; any other is sent again, if that is allowed. `ago` gives how long ago a time of the store was, in
 * milliseconds.
 */
export function reviver(
  routeOf: (name: string) => RevivalRoute | undefined,
  ago: (at: number) => number,
  newCall: NewCall = plainCall,
): Revive {
  return (task, storedCall, held) => {
    const route = routeOf(task.route);
    // Where there is no room for another call, a later sweep or another replica may have some.
    if (route === undefined || route.slots.isCrowded(task.caller)) return "elsewhere";
    const options = storedCall && howToGoOn(task, storedCall, route.upstream, ago(task.createdAt));
    if (storedCall === undefined || options === undefined) return undefined;
    const shown = { ...shared(task, storedCall, route), ...options, held };
    const call = newCall(task.route, shown, task);
    return { call, maxResultBytes: route.policy(task.tool).maxResultBytes };
  };
}

/** How the call continues; `undefined` when it cannot. */
function howToGoOn(
  task: TaskRecord,
  { params, answers = {}, mayRepeat = false, headers, joined }: StoredCall,
  upstream: Upstream,
  agoMs: number,
): (Partial<CallOptions> & Pick<CallOptions, "params" | "maxRuntimeMs">) | undefined {
  const { isUnsent, pause, checkpoint, inputRequests } = task;
  const { maxRuntimeMs } = task.terms;
  // If the clock was set back since, the call must not run longer than it may.
  const restMs = Math.max(MIN_RUNTIME_MS, maxRuntimeMs - Math.max(0, agoMs));
  // The first round must not be sent again: the next one needs the params, and the answers to what was asked.
  if (pause !== undefined) return params && { params, pause, inputRequests, maxRuntimeMs: restMs };
  const anew = params && { params, answers, maxRuntimeMs };
  if (isUnsent) return anew;
  if (checkpoint === undefined) return mayRepeat && anew ? { ...anew, run: (task.turn ?? 0) + 2 } : undefined;
  const rejoined = { session: checkpoint.session, headers, isClients: joined !== undefined };
  return {
    params: params ?? {},
    maxRuntimeMs: restMs,
    resume: checkpoint,
    inputRequests,
    rejoin: (holder, over) => upstream.rejoin(rejoined, holder, over),
    mayRepeat: mayRepeat && params !== undefined,
  };
}

function shared(task: TaskRecord, storedCall: StoredCall, { upstream, slots }: RevivalRoute) {
  const { method, capabilities, logLevel, isModern } = storedCall;
  return {
    slots: expecting(slots),
    storedCall,
    method,
    caller: task.caller,
    lease: leaseOf(task, storedCall, upstream),
    ...(capabilities === undefined ? {} : { capabilities }),
    ...(logLevel === undefined ? {} : { logLevel }),
    ...(isModern ? { isModern } : {}),
  };
}

/** There was room when this replica took the call over: it must not fail because other calls came in between. */
function expecting(slots: Slots): CallOptions["slots"] {
  return {
    isFull: (caller) => slots.isFull(caller),
    enter: (caller, begin) => slots.enter(caller, begin, true),
  };
}

/** Leases the call's session in the way that it had one before. */
function leaseOf(
  { caller, isListed = false }: TaskRecord,
  storedCall: StoredCall,
  upstream: Upstream,
): CallOptions["lease"] {
  const { headers, capabilities = {}, client, joined, isModern } = storedCall;
  const owner = { caller, isIdentified: isListed, headers, capabilities, client };
  if (joined !== undefined) return async (holder) => upstream.join({ ...joined, headers }, holder);
  if (!isModern) return (holder, over) => upstream.lease(owner, holder, over);
  return async (holder: SessionHolder): Promise<Lease> => {
    const server = await upstream.modern(headers);
    if (server !== undefined) return server.lease(owner, {}, holder);
    throw new UpstreamFailure("The server does not speak 2026-07-28 any more", { mayHaveRun: false });
  };
}
