import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { Listing } from "../lib/listing.ts";
import type { Endpoint } from "./endpoint.ts";

/** The requests over HTTP that have no answer yet, or not all of it. */
export class OpenRequests {
  readonly #open = new Listing<Opened>();
  #isDraining = false;

  /** Counts an endpoint's requests among these. */
  through(endpoint: Endpoint): Endpoint {
    return async (request, response, ...where) => {
      if (this.#isDraining) partAfter(response);
      const over = endpoint(request, response, ...where).then(() => untilSent(response));
      const leave = this.#open.add({ response, over });
      await over;
      leave();
    };
  }

  /**
   * Makes every answer from now on the last on its connection, so that the client's next request goes to a gateway that stays. Settles as
   * `idle` does.
   */
  drain(): Promise<void> {
    this.#isDraining = true;
    for (const { response } of this.#open.members()) partAfter(response);
    return this.idle();
  }

  /** Settles when the requests that are open now have their answers, however many have come since. */
  async idle(): Promise<void> {
    await Promise.all(this.#open.members().map(({ over }) => over));
  }
}

interface Opened {
  readonly response: ServerResponse;
  readonly over: Promise<void>;
}

/** A client may take its time to read its answer; a connection without requests is closed at once. */
async function untilSent(response: ServerResponse): Promise<void> {
  if (response.writableEnded && response.writableLength > 0 && !response.destroyed)
    await once(response, "close");
}

/** (RFC 9112 §9.6.) A stream that has begun cannot say so; its connection is closed once it is unused. */
function partAfter(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader("Connection", "close");
}
