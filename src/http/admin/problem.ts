import type { ErrorRequestHandler } from "express";
import type { Logger } from "pino";

/** An error of the admin listener, as problem details (RFC 9457). `detail` names what was given and what was expected. */
export class Problem extends Error {
  override name = "Problem";
  readonly status: number;
  readonly title: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, title: string, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail);
    this.status = status;
    this.title = title;
    this.headers = headers;
  }
}

/** Answers with what was thrown: a problem as it is, anything else, which goes to the log, as one that tells nothing. */
export function answerProblems(log: Logger): ErrorRequestHandler {
  // Express knows an error handler by its four parameters.
  return (error: unknown, _request, response, next) => {
    if (!(error instanceof Problem)) log.error({ err: error }, "a request of the admin listener failed");
    if (response.headersSent) return next(error);
    const known = error instanceof Problem ? error : undefined;
    const { status, title, message, headers } = known ?? UNFORESEEN;
    response
      .status(status)
      .set({ ...headers, "Cache-Control": "no-store", "Content-Type": "application/problem+json" })
      .end(JSON.stringify({ type: "about:blank", title, status, detail: message }));
  };
}

const UNFORESEEN = new Problem(500, "Internal error", "The request failed; the log says why");
