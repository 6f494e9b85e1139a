import { EventSourceParserStream } from "eventsource-parser/stream";
import { isObject } from "../protocol/jsonrpc.ts";

/** The API did not do what it was asked; the message says why. */
export class ApiError extends Error {
  override name = "ApiError";
  /** The HTTP status. Absent: nobody answered, or something that is no such API. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

/** The address of a listener of a gateway, with or without its scheme. `undefined`: it is none, or has credentials, which no listener takes. */
export function addressIn(address: string): URL | undefined {
  const text = address.includes("://") ? address : `http://${address}`;
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  const isHttp = url.protocol === "http:" || url.protocol === "https:";
  return isHttp && url.username === "" && url.password === "" ? url : undefined;
}

/** Speaks to the API of a gateway for operators. */
export class ApiClient {
  readonly #base: URL;
  readonly #headers: Readonly<Record<string, string>>;

  /** @param base the admin listener's address */
  constructor(base: URL, token: string | undefined) {
    this.#base = base;
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  /** @throws ApiError */
  get(path: string, query: Readonly<Record<string, string>> = {}): Promise<unknown> {
    return this.#json("GET", path, query);
  }

  /** @throws ApiError */
  post(path: string): Promise<unknown> {
    return this.#json("POST", path);
  }

  /** Resolves when it listens, with the events from then on, until the gateway or the signal ends them. @throws ApiError */
  async events(signal: AbortSignal): Promise<AsyncIterable<unknown>> {
    const { body } = await this.#send("GET", "events", {}, signal);
    if (body === null) throw new ApiError("there are no events");
    return eventsIn(body, signal);
  }

  async #json(method: string, path: string, query: Readonly<Record<string, string>> = {}): Promise<unknown> {
    return (await this.#send(method, path, query)).json();
  }

  async #send(
    method: string,
    path: string,
    query: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<Response> {
    const url = new URL(`/api/${path}`, this.#base);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const request = { method, headers: this.#headers, ...(signal === undefined ? {} : { signal }) };
    const response = await fetch(url, request).catch((error: Error) => {
      const { code, message } = (error.cause ?? error) as NodeJS.ErrnoException;
      throw new ApiError(`nobody answers at ${this.#base.origin} (${code ?? message})`);
    });
    if (response.ok) return response;
    const problem: unknown = await response.json().catch(() => undefined);
    const detail = isObject(problem) && typeof problem.detail === "string" ? problem.detail : undefined;
    throw new ApiError(
      detail ?? `HTTP ${response.status} at ${url.origin}: no admin listener of a gateway?`,
      response.status,
    );
  }
}

async function* eventsIn(body: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncIterable<unknown> {
  const events = body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  try {
    for await (const { data } of events) yield JSON.parse(data);
  } catch (error) {
    if (!signal.aborted) throw new ApiError(`the events broke off: ${(error as Error).message}`);
  }
}
