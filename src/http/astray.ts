import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "pino";

/** What orchestrators and Prometheus ask the admin listener for. */
const OF_THE_ADMIN_LISTENER: ReadonlySet<string> = new Set(["/health/live", "/health/ready", "/metrics"]);

/** What is wrong with a path on the main port. `undefined`: as far as the gateway knows, nothing. */
export type AstrayHint = (path: string) => string | undefined;

/** @param readyPath where the main port itself says whether the gateway is ready; absent: nowhere */
export function astrayHint(readyPath: string | undefined): AstrayHint {
  const here =
    readyPath === undefined
      ? "on this port nothing says whether the gateway is ready (listen.readyPath)"
      : `on this port ${readyPath} says whether the gateway is ready (listen.readyPath)`;
  return (path) =>
    OF_THE_ADMIN_LISTENER.has(path) ? `${path} is on the admin listener (admin.port); ${here}` : undefined;
}

/**
 * Tells the operator of a probe or a scrape that has come to the main port and found nothing there: once for each path at `warn`, later at
 * `debug`. The server may have such a path itself, and then nothing is wrong.
 */
export function astrayProbes(hint: AstrayHint, log: Logger) {
  const told = new Set<string>();
  return (request: IncomingMessage, response: ServerResponse): void => {
    const { url = "" } = request;
    const said = hint(url);
    if (said === undefined) return;
    response.once("finish", () => {
      if (response.statusCode !== 404) return;
      log[told.has(url) ? "debug" : "warn"](
        { path: url, address: request.socket.remoteAddress },
        `a probe or scrape came to the wrong port: ${said}`,
      );
      told.add(url);
    });
  };
}
