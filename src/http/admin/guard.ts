import type { IncomingMessage, ServerResponse } from "node:http";
import { type Guard, hostCheck } from "../guards.ts";
import { Problem } from "./problem.ts";

/**
 * Refuses requests that a web page of elsewhere had a browser send. Bound to loopback, the admin listener answers to names of loopback only,
 * so that no other name can be made to point here; bound to anything else it answers to every name. No page but its own may call it.
 * @throws Problem, HTTP 403
 */
export function adminGuard(host: string): Guard {
  const checkHost = hostCheck({ host, port: 0, allowedOrigins: [] });
  return (request: IncomingMessage, response: ServerResponse) => {
    try {
      checkHost(request, response);
    } catch {
      const asked = JSON.stringify(request.headers.host ?? "").slice(0, 200);
      throw new Problem(
        403,
        "Host refused",
        `The admin listener is bound to ${host}, and answers requests to names of this machine only (localhost, 127.0.0.1, [::1]), got ${asked}`,
      );
    }
    const { origin, host: own } = request.headers;
    // A page has the scheme of the proxy in front of the listener, if there is one.
    if (origin === undefined || origin === `http://${own}` || origin === `https://${own}`) return;
    throw new Problem(
      403,
      "Origin refused",
      `No page of another origin may call the admin listener, got ${JSON.stringify(origin.slice(0, 200))}`,
    );
  };
}
