import express, { type Express, type Router } from "express";
import type { Logger } from "pino";
import type { Guard } from "../guards.ts";
import type { Status } from "../status.ts";
import { consolePages } from "./console.ts";
import { answerProblems, Problem } from "./problem.ts";

export interface AdminOptions {
  readonly log: Logger;
  readonly status: () => Status;
  /** Whether the main port has a path that this listener has not. Absent: not known. */
  readonly isOfTheMainPort?: (path: string) => boolean;
  /** Throws for hosts and origins that may learn nothing of the gateway. */
  readonly guard: Guard;
  /** Writes the metrics in the format that the `Accept` header asks for. Absent: there are none. */
  readonly scrape?: (
    accept: string | undefined,
  ) => Promise<{ readonly contentType: string; readonly text: string }>;
  /** The API for operators. Absent: there is none. */
  readonly api?: Router | undefined;
}

const ON_THE_MAIN_PORT =
  "that path is on the main port (listen.port); this is the admin listener, which says at /health/ready whether the gateway is ready";

/** The admin listener: for orchestrators, Prometheus and operators. */
export function adminApp({
  log,
  status,
  isOfTheMainPort = () => false,
  guard,
  scrape,
  api,
}: AdminOptions): Express {
  const app = express().disable("x-powered-by");
  // Orchestrators name the host by its address, or as they like; the answers tell hardly anything.
  app.get("/health/live", (_, response) => void response.json({ status: "live" }));
  app.get("/health/ready", (_, response) => {
    const now = status();
    response.status(now === "ready" ? 200 : 503).json({ status: now });
  });
  app.use((request, response, next) => {
    guard(request, response);
    next();
  });
  app.get("/metrics", async (request, response, next) => {
    if (scrape === undefined) return next();
    const { contentType, text } = await scrape(request.headers.accept);
    response.setHeader("Content-Type", contentType);
    response.setHeader("Cache-Control", "no-store");
    response.end(text);
  });
  if (api !== undefined) app.use("/api", api).use(consolePages());
  app.use(({ path }) => {
    const nothing = `There is nothing at ${path.slice(0, 200)}`;
    throw new Problem(404, "Not found", isOfTheMainPort(path) ? `${nothing}: ${ON_THE_MAIN_PORT}` : nothing);
  });
  app.use(answerProblems(log));
  return app;
}
