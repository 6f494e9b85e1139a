import { z } from "zod";
import { parseStoreUrl, STORE_URLS } from "../store-url.ts";
import { text } from "./fields.ts";

/** Labels separated by dots, or an IPv6 address in brackets. */
const HOST_NAME =
  /^(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*|\[[0-9a-f:.]+\])$/i;

/** The name of a server, which becomes part of paths, log lines and metrics. */
export function serverName() {
  const expected = "must be a name of up to 64 letters, digits, dots, dashes and underscores";
  // Without regex flags, which the JSON Schema would lose.
  return z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, { error: expected });
}

/** The path at which the gateway mounts a server. */
export function mountPath() {
  const expected = "a path such as /reports/mcp: segments of unreserved characters, no slash at the end";
  return text(expected, isMountPath).meta({ values: "path" });
}

/** A path of the gateway's own, or a word for none. */
export function pathOr<const Word extends string>(word: Word) {
  const expected = `a path such as /-/health: segments of unreserved characters, no slash at the end; or "${word}"`;
  return text(expected, (given) => given === word || (given !== "/" && isMountPath(given))).meta({
    values: `path, \`${word}\``,
  });
}

/** The endpoint of a server: an http or https URL without credentials and fragment. */
export function httpUrl() {
  return z
    .string({ error: "must be http or https" })
    .transform((given, context) => {
      const message = urlFault(given);
      if (message === undefined) return new URL(given);
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    })
    .meta({ values: "URL" });
}

/** A host name as in a `Host` header, without the port; in lower case. */
export function hostName() {
  return text("a host name without scheme, port or wildcard", (given) => HOST_NAME.test(given))
    .transform((given) => given.toLowerCase())
    .meta({ values: "host name" });
}

/** Where to listen: a name or an address, without the user, path or query of a URL. */
export function hostOrAddress() {
  return text("a host name or an address", isHostOrAddress);
}

export function isHostOrAddress(given: string): boolean {
  return /^[^\s@/?#]+$/.test(given);
}

/** An origin exactly as a browser sends it. */
export function origin() {
  return text("an origin such as https://app.example, without a path", isOrigin).meta({ values: "origin" });
}

/** The url of the task store. */
export function storeUrl() {
  return z
    .string({ error: STORE_URLS })
    .superRefine((url, context) => {
      const message = storeFault(url);
      if (message !== undefined) context.addIssue({ code: "custom", message });
    })
    .meta({ values: "`memory:`, `level:PATH`, `redis://HOST`, `rediss://HOST`" });
}

function storeFault(url: string): string | undefined {
  try {
    parseStoreUrl(url);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function urlFault(given: string): string | undefined {
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") return "must be http or https";
  if (url.username !== "" || url.password !== "") return "must not contain credentials; put them in headers";
  return url.hash === "" ? undefined : "must not have a fragment";
}

function isMountPath(path: string): boolean {
  const [before, ...segments] = path.split("/");
  const isSegment = (segment: string) => /^[A-Za-z0-9._~-]+$/.test(segment) && !/^\.\.?$/.test(segment);
  return path === "/" || (before === "" && segments.every(isSegment) && segments.length > 0);
}

/** `URL` gives schemes other than http an opaque origin, yet editors and browser extensions send such origins. */
function isOrigin(given: string): boolean {
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url.origin === given;
  return /^[a-z][a-z0-9+.-]*:\/\/[a-z0-9._-]+$/.test(given);
}
