import type { Call } from "../calls/call.ts";
import type { NewCall } from "../calls/new-call.ts";
import type { ToolPolicy } from "../config/config.ts";
import type { JsonObject } from "../protocol/jsonrpc.ts";
import { namesOneRequest } from "../protocol/request-headers.ts";
import type { Admission } from "../requests/admission.ts";
import type { StoredCall } from "../store/task-store.ts";
import type { StoredRequest } from "../upstream/modern/bridged-transport.ts";
import type { ClientSession } from "../upstream/upstream.ts";
import type { SessionRequest } from "./tasks.ts";

/** Headers of a client, or of a proxy before the gateway, that are no credentials, and that no server needs to see again. */
const SAYS_NOTHING_SECRET: readonly RegExp[] = [
  /^(?:accept-language|cache-control|dnt|origin|pragma|priority|referer|sec-(?:ch|fetch|gpc)\b.*|user-agent)$/,
  /^(?:forwarded|via|x-forwarded-.*|x-original-forwarded-for|x-real-ip|x-client-ip|true-client-ip|x-scheme)$/,
  // Of lighttpd, Varnish, Squid, Envoy and delivery networks.
  /^(?:x-host|x-varnish|surrogate-capability|x-envoy-.*|cdn-loop|cf-(?:connecting-ip|ipcountry|visitor))$/,
];

/** A `tools/call` in a legacy client's own session, under an id of ours, that is yet to be started. @param params for the server */
export async function callInSession(
  request: SessionRequest,
  params: JsonObject & { readonly name: string },
  policy: ToolPolicy,
  { admission, newCall }: { readonly admission: Admission; readonly newCall: NewCall },
): Promise<Call> {
  const { owner, headers, held, route } = request;
  const joiner = request.joiner();
  const isRepeatable = await mayRepeat(request, policy, params.name);
  const storedCall =
    joiner.session === undefined
      ? storedWithout(request, joiner.stored?.(params), isRepeatable)
      : storedCallIn(joiner.session, params, isRepeatable);
  return newCall(route.config.name, {
    lease: async (holder) => joiner.join(holder),
    slots: admission.slots(request),
    caller: owner.caller,
    method: "tools/call",
    params,
    maxRuntimeMs: policy.maxRuntimeMs,
    held,
    headers,
    ...(storedCall === undefined ? {} : { storedCall }),
  });
}

/** What another gateway needs to make the call in the client's session, or to pick it up there. */
function storedCallIn(
  { headers, ...joined }: ClientSession,
  params: JsonObject,
  mayRepeat: boolean,
): StoredCall {
  const own = Object.entries(headers).filter(
    ([name]) => !SAYS_NOTHING_SECRET.some((pattern) => pattern.test(name)) && !namesOneRequest(name),
  );
  return {
    method: "tools/call",
    params,
    headers: Object.fromEntries(own),
    joined,
    ...(mayRepeat ? { mayRepeat } : {}),
  };
}

/** What another gateway needs to make the call at a server that has no sessions. */
function storedWithout(
  { sessionOwner: { headers } }: SessionRequest,
  stored: StoredRequest | undefined,
  mayRepeat: boolean,
): StoredCall | undefined {
  const repeatable = mayRepeat ? { mayRepeat } : {};
  return stored && { ...stored, method: "tools/call", headers, isModern: true, ...repeatable };
}

/** Whether the call may be made again if its gateway dies (`onLoss: retry`). */
async function mayRepeat(
  { route, sessionOwner }: SessionRequest,
  policy: ToolPolicy,
  tool: string,
): Promise<boolean> {
  if (policy.onLoss !== "retry") return false;
  return policy.isUnsafe || route.upstream.toolsFor(sessionOwner).isRepeatable(tool);
}
