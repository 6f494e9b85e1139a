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
}

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
  | { readonly kind: "unreachable"; readonly reason: string };

/** Of the receiver's answer only the status counts; the rest is read so that the connection can be used again. */
const MAX_READ_BYTES = 65_536;
const READ_MS = 250;
const FINAL = [410, 413];

/** Posts an event, signed as Standard Webhooks 1.0.0 says, now. Never rejects. */
export async function post({ id, body }: Message, options: PostOptions): Promise<Reply> {
  const { url, secrets, timeoutMs, dispatcher, userAgent, signal } = options;
  const now = new Date();
  const signatures = secrets.map((secret) => new Webhook(secret).sign(id, now, body));
  try {
    const response = await request(url, {
      method: "POST",
      dispatcher,
      headers: {
        "content-type": "application/json",
        "user-agent": userAgent,
        "webhook-id": id,
        "webhook-timestamp": String(Math.floor(now.getTime() / 1_000)),
        "webhook-signature": signatures.join(" "),
      },
      body,
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    const { statusCode: status, headers } = response;
    // A receiver that does not end its answer has accepted the event all the same, and has its connection no longer.
    await response.body.dump({ limit: MAX_READ_BYTES, signal: AbortSignal.timeout(READ_MS) }).catch(() => {});
    if (status >= 200 && status < 300) return { kind: "accepted", status };
    const retryAfterMs = retryAfter(headers["retry-after"], now);
    return {
      kind: "refused",
      status,
      isFinal: FINAL.includes(status),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    };
  } catch (error) {
    return { kind: "unreachable", reason: reasonOf(error, timeoutMs) };
  }
}

/** RFC 9110 §10.2.3. */
function retryAfter(header: string | string[] | undefined, now: Date): number | undefined {
  if (typeof header !== "string") return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1_000;
  const ms = Date.parse(header) - now.getTime();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

function reasonOf(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer within ${timeoutMs} ms`;
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? code : error.message;
}
