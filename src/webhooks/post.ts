import { Webhook } from "standardwebhooks";
import { type Dispatcher, request } from "undici";

export interface Message {
  /** `webhook-id`: the same for every try. */
  readonly id: string;
  /** JSON. */
  readonly body: string;
}

export interface PostOptions {
  readonly url: URL;
  /** As in `WebhookConfig`. */
  readonly secrets: readonly string[];
  readonly timeoutMs: number;
  readonly dispatcher: Dispatcher;
  readonly userAgent: string;
  /** Aborts when the gateway stops. */
  readonly signal: AbortSignal;
  /** Beside those of Standard Webhooks. Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Why a receiver did not take something, as the Events extension tells these apart. */
export type Failure = "connection_refused" | "timeout" | "tls_error" | "http_4xx" | "http_5xx";

/** How a receiver took an event. */
export type Reply =
  | { readonly kind: "accepted"; readonly status: number }
  /** `isFinal`: it wants no further try. */
  | {
      readonly kind: "refused";
      readonly status: number;
      readonly isFinal: boolean;
      readonly retryAfterMs?: number;
    }
  | { readonly kind: "unreachable"; readonly reason: string; readonly failure: Failure };

/** Of the receiver's answer only the status counts; the rest is read so that the connection can be used again. */
const MAX_READ_BYTES = 65_536;
const READ_MS = 250;
const MAX_ANSWER_BYTES = 16_384;
const FINAL = [410, 413];

/** Posts an event, signed as Standard Webhooks 1.0.0 says, now. Never rejects. */
export async function post(message: Message, options: PostOptions): Promise<Reply> {
  const now = Date.now();
  try {
    const { statusCode: status, headers, body } = await send(message, options);
    // A receiver that does not end its answer has accepted the event all the same, and has its connection no longer.
    await letGo(body);
    if (isSuccess(status)) return { kind: "accepted", status };
    const retryAfterMs = retryAfter(headers["retry-after"], now);
    return {
      kind: "refused",
      status,
      isFinal: FINAL.includes(status),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    };
  } catch (error) {
    return unreachable(error, options);
  }
}

/** As `post`, for a message whose answer counts: of 2xx, and no longer than a few kilobytes. */
export async function ask(
  message: Message,
  options: PostOptions,
): Promise<
  Exclude<Reply, { readonly kind: "accepted" }> | { readonly kind: "answered"; readonly text: string }
> {
  try {
    const { statusCode: status, body } = await send(message, options);
    if (!isSuccess(status)) {
      await letGo(body);
      return { kind: "refused", status, isFinal: true };
    }
    const chunks: Buffer[] = [];
    let bytes = 0;
    // A connection that breaks later concerns nobody.
    body.on("error", () => {});
    for await (const chunk of body) {
      bytes += (chunk as Buffer).length;
      // Leaving the loop closes the connection.
      if (bytes > MAX_ANSWER_BYTES) return { kind: "answered", text: "" };
      chunks.push(chunk as Buffer);
    }
    return { kind: "answered", text: Buffer.concat(chunks).toString("utf8") };
  } catch (error) {
    return unreachable(error, options);
  }
}

function send({ id, body }: Message, options: PostOptions): Promise<Dispatcher.ResponseData> {
  const { url, secrets, timeoutMs, dispatcher, userAgent, signal, headers } = options;
  const now = new Date();
  const signatures = secrets.map((secret) => new Webhook(secret).sign(id, now, body));
  return request(url, {
    method: "POST",
    dispatcher,
    headers: {
      "content-type": "application/json",
      "user-agent": userAgent,
      ...headers,
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(now.getTime() / 1_000)),
      "webhook-signature": signatures.join(" "),
    },
    body,
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
  });
}

function letGo(body: Dispatcher.ResponseData["body"]): Promise<unknown> {
  return body.dump({ limit: MAX_READ_BYTES, signal: AbortSignal.timeout(READ_MS) }).catch(() => {});
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** RFC 9110 §10.2.3. */
function retryAfter(header: string | string[] | undefined, now: number): number | undefined {
  if (typeof header !== "string") return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1_000;
  const ms = Date.parse(header) - now;
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

function unreachable(error: unknown, { timeoutMs }: Pick<PostOptions, "timeoutMs">): Unreachable {
  if (!(error instanceof Error))
    return { kind: "unreachable", reason: String(error), failure: "connection_refused" };
  if (error.name === "TimeoutError")
    return { kind: "unreachable", reason: `no answer within ${timeoutMs} ms`, failure: "timeout" };
  const { code } = error as { code?: unknown };
  const reason = typeof code === "string" ? code : error.message;
  return { kind: "unreachable", reason, failure: failureOf(reason) };
}

type Unreachable = Extract<Reply, { readonly kind: "unreachable" }>;

/** By the codes of Node, OpenSSL and undici. */
function failureOf(reason: string): Failure {
  if (/TIMEOUT|ETIMEDOUT/.test(reason)) return "timeout";
  return /CERT|TLS|SSL|EPROTO|UNABLE_TO/.test(reason) ? "tls_error" : "connection_refused";
}
