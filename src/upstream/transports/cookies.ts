interface StoredCookie {
  readonly name: string;
  readonly value: string;
  readonly path: string;
  /** The cookie's `Domain`. Absent: only for the host that set it. */
  readonly domain: string | undefined;
  readonly isSecure: boolean;
  /** Milliseconds since the epoch. Absent: until the session ends. */
  readonly expiresAt: number | undefined;
}

/** More than a load balancer and a login need; beyond that, the cookie that was set first is dropped first. */
const MAX_COOKIES = 50;
/** Limit for all names and values together: Node and most servers refuse 16 KiB of headers. */
const MAX_CHARS = 8_192;
/** A client need not keep longer cookies (§6.1). */
const MAX_COOKIE_CHARS = 4_096;
/** The largest time that a `Date` can hold. */
const LAST_TIME = 8_640_000_000_000_000;
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * The cookies of one session with a server (RFC 6265 §5), by which load balancers keep a session on one node. They go only to the origin
 * that set them, and no two sessions share any.
 */
export class CookieJar {
  readonly #origin: string;
  readonly #clock: () => number;
  /** By name, domain and path; in the order in which they were set first. */
  readonly #cookies = new Map<string, StoredCookie>();

  /**
   * @param url the server's; cookies from and for other origins are ignored
   * @param clock milliseconds since the epoch
   */
  constructor(url: URL, clock: () => number = Date.now) {
    this.#origin = url.origin;
    this.#clock = clock;
  }

  /** Stores the cookies that a response sets, and removes those that it expires (§5.3). @param setCookies the values of `Set-Cookie` */
  take(url: URL, setCookies: readonly string[]): void {
    if (url.origin !== this.#origin) return;
    for (const text of setCookies) {
      const cookie = read(text, url, this.#clock());
      if (cookie === undefined) continue;
      const key = keyOf(cookie);
      const isGone = cookie.expiresAt !== undefined && cookie.expiresAt <= this.#clock();
      // A cookie that is replaced keeps its place (§5.3, step 11).
      if (isGone) this.#cookies.delete(key);
      else this.#cookies.set(key, cookie);
    }
    this.#shrink();
  }

  /**
   * Adds the cookies that fit to the headers of a request (§5.4). A cookie of the server's replaces one of the same name in a configured or
   * forwarded `Cookie` header.
   * @param headers names in lower case
   */
  addTo(headers: Readonly<Record<string, string>>, url: URL): Readonly<Record<string, string>> {
    const fitting = url.origin === this.#origin ? this.#fitting(url) : [];
    if (fitting.length === 0) return headers;
    const names = new Set(fitting.map(({ name }) => name));
    const given = (headers.cookie ?? "").split(";").map((pair) => pair.trim());
    const others = given.filter((pair) => pair !== "" && !names.has(halves(pair)[0]));
    return { ...headers, cookie: [...others, ...fitting.map(toPair)].join("; ") };
  }

  /** All cookies as `Set-Cookie` would set them, for `take` of another jar; `undefined` when there are none. */
  toSetCookies(): readonly string[] | undefined {
    this.#expire();
    return this.#cookies.size === 0 ? undefined : [...this.#cookies.values()].map(toSetCookie);
  }

  /** Longer paths come first (§5.4, step 2). */
  #fitting(url: URL): readonly StoredCookie[] {
    this.#expire();
    return [...this.#cookies.values()]
      .filter((cookie) => !cookie.isSecure || url.protocol === "https:")
      .filter(({ path }) => matchesPath(url.pathname, path))
      .sort((a, b) => b.path.length - a.path.length);
  }

  #expire(): void {
    const now = this.#clock();
    for (const [key, { expiresAt = now + 1 }] of this.#cookies)
      if (expiresAt <= now) this.#cookies.delete(key);
  }

  #shrink(): void {
    let chars = 0;
    for (const { name, value } of this.#cookies.values()) chars += name.length + value.length;
    for (const [key, { name, value }] of this.#cookies) {
      if (this.#cookies.size <= MAX_COOKIES && chars <= MAX_CHARS) return;
      this.#cookies.delete(key);
      chars -= name.length + value.length;
    }
  }
}

/**
 * Parses `Set-Cookie` (§5.2). `undefined` when it is no cookie, or none that the origin may set. Not undici's `parseCookie`, which ignores a
 * negative `Max-Age`, by which servers remove cookies, and reads a path that does not begin with a slash as `/`.
 */
function read(text: string, url: URL, now: number): StoredCookie | undefined {
  const [pair = "", ...rest] = text.split(";");
  const [name, value] = halves(pair);
  // The last one counts if an attribute is repeated.
  const attributes = new Map(
    rest.map((attribute) => halves(attribute)).map(([key, said]) => [key.toLowerCase(), said]),
  );
  const isSecure = attributes.has("secure");
  const domain = attributes.get("domain")?.toLowerCase().replace(/^\./, "") || undefined;
  const given = attributes.get("path");
  const path = given?.startsWith("/") ? given : defaultPath(url);
  const isWhole = pair.includes("=") && name !== "" && name.length + value.length <= MAX_COOKIE_CHARS;
  if (!isWhole || !FIELD_VALUE.test(name + value + path)) return undefined;
  if (isSecure && url.protocol !== "https:") return undefined;
  if (domain !== undefined && !matchesDomain(url.hostname, domain)) return undefined;
  const expiresAt = expiry(attributes.get("max-age"), attributes.get("expires"), now);
  return { name, value, path, domain, isSecure, expiresAt };
}

/** `Max-Age` wins over `Expires`; a value that is neither a number nor a date is ignored (§5.2.1, §5.2.2, §5.3 step 3). */
function expiry(maxAge: string | undefined, expires: string | undefined, now: number): number | undefined {
  if (maxAge !== undefined && /^-?\d+$/.test(maxAge))
    return Math.min(now + Number(maxAge) * 1_000, LAST_TIME);
  const at = expires === undefined ? Number.NaN : Date.parse(expires);
  return Number.isNaN(at) ? undefined : at;
}

/** The trimmed texts before and after the first `=`. */
function halves(text: string): readonly [string, string] {
  const at = text.indexOf("=");
  return at === -1 ? [text.trim(), ""] : [text.slice(0, at).trim(), text.slice(at + 1).trim()];
}

/** §5.1.3; an IP address has no subdomains. */
function matchesDomain(host: string, domain: string): boolean {
  return host === domain || (host.endsWith(`.${domain}`) && !/^[\d.]+$/.test(host));
}

/** (§5.1.4.) */
function matchesPath(path: string, cookiePath: string): boolean {
  if (path === cookiePath) return true;
  return path.startsWith(cookiePath) && (cookiePath.endsWith("/") || path[cookiePath.length] === "/");
}

/** (§5.1.4.) */
function defaultPath({ pathname }: URL): string {
  const end = pathname.lastIndexOf("/");
  return end <= 0 ? "/" : pathname.slice(0, end);
}

function keyOf({ name, domain, path }: StoredCookie): string {
  return JSON.stringify([name, domain, path]);
}

function toPair({ name, value }: StoredCookie): string {
  return `${name}=${value}`;
}

function toSetCookie({ name, value, path, domain, isSecure, expiresAt }: StoredCookie): string {
  const attributes = [
    `Path=${path}`,
    ...(domain === undefined ? [] : [`Domain=${domain}`]),
    ...(expiresAt === undefined ? [] : [`Expires=${new Date(expiresAt).toUTCString()}`]),
    ...(isSecure ? ["Secure"] : []),
  ];
  return [`${name}=${value}`, ...attributes].join("; ");
}
