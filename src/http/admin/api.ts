import { createHash, timingSafeEqual } from "node:crypto";
import { type Request, type Response, Router } from "express";
import type { Admin } from "../../admin/admin.ts";
import type { AdminListener } from "../../admin/events.ts";
import { MAX_LISTENERS } from "../../admin/events.ts";
import type { Reload } from "../../admin/reloads.ts";
import { STATUSES, type Status } from "../../admin/task-summary.ts";
import { MAX_NAMES, type TaskListRequest } from "../../admin/tasks.ts";
import { MAX_HOURS } from "../../observers/calls/call-counts.ts";
import { StoreUnavailable } from "../../store/task-store.ts";
import { openApi } from "./open-api.ts";
import { Problem } from "./problem.ts";

/** What a request may do. Who may cancel may read as well. */
export type Right = "read" | "cancel";

export interface AccessOptions {
  /** As in `AdminConfig`. */
  readonly token?: string | undefined;
  readonly readToken?: string | undefined;
  /** Whether only this machine reaches the listener. */
  readonly isLocal: boolean;
}

export interface ApiOptions extends AccessOptions {
  readonly admin: Admin;
  readonly version: string;
  /** Takes over the configuration file. Never rejects. Absent: there is none. */
  readonly reload?: (() => Promise<Reload>) | undefined;
  /** Settles when the gateway ends the streams that only listen. */
  readonly stopping: AbortSignal;
}

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 500;
const NAME = /^[0-9a-f]{12}$/;
const FILTERS = ["server", "tool", "status", "caller", "maxAge", "limit", "cursor"];
/** How much may wait for a reader of events before it is cut off. */
const MAX_UNREAD_BYTES = 262_144;
const COMMENT_MS = 15_000;

/** `/api`: what an operator sees of a gateway and can do with it, as JSON. */
export function api({ admin, version, stopping, reload, ...access }: ApiOptions): Router {
  const router = Router();
  const may = (right: Right) => (request: Request, response: Response, next: () => void) => {
    checkAccess(access, right, request);
    response.setHeader("Cache-Control", "no-store");
    next();
  };
  const read = may("read");

  router.get("/tasks", read, async (request, response) => {
    const listing = await admin.tasks.list(readListRequest(request)).catch(ifAway);
    if (listing === undefined)
      throw new Problem(
        400,
        "Invalid cursor",
        "cursor must be the nextCursor of a page with the same filters",
      );
    response.json(listing);
  });
  router.get("/tasks/:name", read, async (request, response) => {
    const name = nameIn(request);
    const story = await admin.tasks.find(name).catch(ifAway);
    if (story === undefined) throw noTask(name);
    response.json(story);
  });
  router.post("/tasks/:name/cancel", may("cancel"), async (request, response) => {
    const name = nameIn(request);
    const cancelled = await admin.tasks.cancel(name).catch(ifAway);
    switch (cancelled.kind) {
      case "cancelled":
        return void response.json(cancelled.task);
      case "over":
        throw new Problem(
          409,
          "Task has ended",
          `The task ${name} has ended already: it is ${cancelled.task.status}`,
        );
      case "unknown":
        throw noTask(name);
    }
  });
  router.get("/servers", read, (_, response) => void response.json({ servers: admin.servers() }));
  router.get("/replicas", read, async (_, response) => {
    response.json({ replicas: await admin.replicas().catch(ifAway) });
  });
  router.get("/stats", read, (_, response) => void response.json(admin.stats()));
  router.get("/suggestions", read, ({ query }, response) => {
    onlyOf(query, ["hours"]);
    const hours = text(query, "hours");
    response.json(
      admin.suggestions(hours === undefined ? undefined : whole(hours, "hours", "hours", MAX_HOURS)),
    );
  });
  router.get("/refusals", read, (_, response) => void response.json({ refusals: admin.refusals() }));
  router.get("/webhooks", read, async (_, response) => {
    const subscriptions = await admin.subscriptions().catch(ifAway);
    response.json({
      webhooks: await admin.webhooks.statuses().catch(ifAway),
      ...(subscriptions === undefined ? {} : { subscriptions }),
    });
  });
  router.get("/webhooks/:name/undelivered", read, async (request, response) => {
    const name = String(request.params.name);
    const events = await admin.webhooks.undelivered(name, DEFAULT_LIMIT).catch(ifAway);
    if (events === undefined) throw noWebhook(name);
    response.json({ events });
  });
  router.post("/webhooks/:name/redeliver", may("cancel"), async (request, response) => {
    const name = String(request.params.name);
    const events = await admin.webhooks.redeliver(name, text(request.query, "event")).catch(ifAway);
    if (events === undefined) throw noWebhook(name);
    response.json({ events });
  });
  router.post("/webhooks/:name/test", may("cancel"), async (request, response) => {
    const name = String(request.params.name);
    const reply = await admin.webhooks.test(name);
    if (reply === undefined) throw noWebhook(name);
    response.json(reply);
  });
  router.get("/config", read, (_, response) => void response.json(admin.config()));
  router.post("/reload", may("cancel"), async (_, response) => {
    if (reload === undefined)
      throw new Problem(409, "No file", "The gateway was started without a configuration file");
    const reloaded = await reload();
    if (reloaded.outcome === "refused")
      throw new Problem(422, "Configuration refused", reloaded.problems.join("; "));
    response.json(reloaded);
  });
  router.all("/reload", () => {
    throw new Problem(405, "Method not allowed", "/api/reload takes POST only", { Allow: "POST" });
  });
  router.get("/events", read, (_, response) => streamEvents(admin, response, stopping));
  router.get("/openapi.json", read, (_, response) => void response.json(openApi(version)));
  return router;
}

function checkAccess({ token, readToken, isLocal }: AccessOptions, right: Right, { headers }: Request): void {
  if (token === undefined && readToken === undefined) {
    if (isLocal) return;
    throw new Problem(
      403,
      "No token is set",
      "The admin listener is not bound to loopback: set admin.token (or admin.readToken) to use its API",
    );
  }
  const given = /^bearer +([^ ].*)$/i.exec(headers.authorization ?? "")?.[1];
  if (given !== undefined && isSame(given, token)) return;
  const mayRead = given !== undefined && isSame(given, readToken);
  if (mayRead && right === "read") return;
  const challenge = { "WWW-Authenticate": 'Bearer realm="mcp-taskgate"' };
  if (mayRead) throw new Problem(403, "Not allowed", "This token may read only (admin.readToken)");
  const what =
    given === undefined
      ? "Authorization must be Bearer and admin.token or admin.readToken"
      : "The token is neither admin.token nor admin.readToken";
  throw new Problem(401, "No valid token", what, challenge);
}

/** Takes as long for any text. */
function isSame(given: string, token: string | undefined): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return token !== undefined && timingSafeEqual(digest(given), digest(token));
}

function readListRequest({ query }: Request): TaskListRequest {
  onlyOf(query, FILTERS);
  const { status } = query;
  if (status !== undefined && !isStatus(status))
    throw new Problem(400, "Invalid filter", `status must be one of ${STATUSES.join(", ")}`);
  const maxAge = text(query, "maxAge");
  return {
    server: text(query, "server"),
    tool: text(query, "tool"),
    caller: text(query, "caller"),
    cursor: text(query, "cursor"),
    status,
    maxAgeMs: maxAge === undefined ? undefined : 1_000 * whole(maxAge, "maxAge", "seconds", 365 * 86_400),
    limit: whole(text(query, "limit") ?? String(DEFAULT_LIMIT), "limit", "tasks", MAX_LIMIT),
  };
}

function onlyOf(query: Request["query"], names: readonly string[]): void {
  const unknown = Object.keys(query).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  const what = `${unknown.slice(0, 50)} is no filter; there ${names.length === 1 ? "is" : "are"} ${names.join(", ")}`;
  throw new Problem(400, "Unknown filter", what);
}

function isStatus(status: unknown): status is Status {
  return STATUSES.some((known) => known === status);
}

function text(query: Request["query"], name: string): string | undefined {
  const value = query[name];
  if (value === undefined || typeof value === "string") return value;
  throw new Problem(400, "Invalid filter", `${name} must be given once`);
}

function whole(given: string, name: string, of: string, max: number): number {
  const value = /^\d{1,9}$/.test(given) ? Number(given) : 0;
  if (value >= 1 && value <= max) return value;
  throw new Problem(400, "Invalid filter", `${name} must be a whole number of ${of} from 1 to ${max}`);
}

function nameIn({ params }: Request): string {
  const { name } = params;
  if (typeof name === "string" && NAME.test(name)) return name;
  throw new Problem(
    400,
    "Invalid name",
    "A task's name has 12 hexadecimal digits, as lists and log lines show it",
  );
}

function noTask(name: string): Problem {
  return new Problem(
    404,
    "No such task",
    `There is no task ${name} among the last ${MAX_NAMES}: it has gone, or never was`,
  );
}

function noWebhook(name: string): Problem {
  return new Problem(404, "No such webhook", `The configuration has no webhook ${name.slice(0, 64)}`);
}

function ifAway(error: unknown): never {
  if (!(error instanceof StoreUnavailable)) throw error;
  throw new Problem(503, "The task store is away", "The task store does not answer; try again", {
    "Retry-After": "1",
  });
}

/** Server-sent events, each with its kind as its type. Cuts off a reader that is too slow, so that the events take no more memory. */
function streamEvents(admin: Admin, response: Response, stopping: AbortSignal): void {
  const listener: AdminListener = (event) => {
    response.write(`event: ${event.kind}\ndata: ${JSON.stringify(event)}\n\n`);
    if (response.writableLength > MAX_UNREAD_BYTES) response.destroy();
  };
  const stop = admin.events.listen(listener);
  if (stop === undefined)
    throw new Problem(503, "Too many listeners", `${MAX_LISTENERS} listen already`, { "Retry-After": "5" });
  response.writeHead(200, { "Content-Type": "text/event-stream", "X-Accel-Buffering": "no" });
  response.write(": the events of tasks from now on\n\n");
  const comments = setInterval(() => response.write(":\n\n"), COMMENT_MS);
  const end = () => response.end();
  stopping.addEventListener("abort", end, { once: true });
  response.once("close", () => {
    clearInterval(comments);
    stopping.removeEventListener("abort", end);
    stop();
  });
  if (stopping.aborted) end();
}
