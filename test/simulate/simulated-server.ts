import { KEY_HINT } from "../../src/calls/input.ts";
import type { JsonObject, JsonRpcResponse, RequestId } from "../../src/protocol/jsonrpc.ts";
import type { Checkpoint } from "../../src/store/task-store.ts";
import { toFailure, UpstreamFailure, unanswered } from "../../src/upstream/failure.ts";
import { ModernSession, type SendModern } from "../../src/upstream/modern/session.ts";
import type { Lease, RejoinedLease } from "../../src/upstream/sessions/pool.ts";
import type {
  RequestAnswer,
  RequestListener,
  RequestPlace,
  ResumingSession,
  SessionHolder,
  UpstreamRequest,
} from "../../src/upstream/sessions/session.ts";
import { type CallScript, questionKey, questionText, resultText } from "./script.ts";
import type { Program, Timeline } from "./timeline.ts";

export interface ServerListener {
  /** The request for a call is on its way to the server. */
  onSent(script: CallScript, run: Run, by: Program): void;
  /** So are the answers to a question, to a server whose calls have rounds. */
  onRound(script: CallScript, run: Run, step: number): void;
  onAnswered(script: CallScript): void;
  /** The gateway has heard the answer to the call. */
  onHeard(script: CallScript, by: Program): void;
  /** The gateway has heard a question. */
  onAsked(run: Run, step: number, by: Program): void;
  onAnswer(run: Run, step: number, answer: RequestAnswer): void;
}

export interface SimulatedServerOptions {
  readonly timeline: Timeline;
  readonly listener: ServerListener;
  readonly scripts: ReadonlyMap<string, CallScript>;
  readonly mayDie: (program: Program) => void;
  readonly trace: (line: () => string) => void;
}

/** One time that a call is made. */
export interface Run {
  readonly script: CallScript;
  readonly session: string;
  readonly requestId: RequestId;
  /** What it has said so far. */
  readonly said: Message[];
  readonly answers: Map<number, RequestAnswer>;
  /** The questions whose answers were sent, each as often as they were, where calls have rounds. */
  readonly roundsSent: number[];
  step: number;
  isOver: boolean;
  /** Who listens to it now. */
  connection: Connection | undefined;
}

type Message =
  | { readonly kind: "accepted" }
  | { readonly kind: "progress"; readonly step: number }
  | { readonly kind: "question"; readonly step: number }
  | { readonly kind: "answer"; readonly response: JsonRpcResponse };

interface Connection {
  readonly by: Program;
  /** When it was made. */
  readonly since: number;
  /** Absent where calls have rounds: the question is the answer to one. */
  readonly asking?: { readonly holder: SessionHolder; readonly session: ResumingSession };
  readonly listener: RequestListener;
  readonly resolve: (response: JsonRpcResponse) => void;
  readonly reject: (failure: UpstreamFailure) => void;
  arrivesAt: number;
  isOpen: boolean;
}

const MAX_DELAY_MS = 10;
/** As a session waits for a server whose answer is not wanted any more. */
const CANCEL_PATIENCE_MS = 5_000;
const PROTOCOL_VERSION = "2025-11-25";

/** An MCP server that does with every call what its script says, whoever is connected to it. */
export class SimulatedServer {
  readonly runs: Run[] = [];
  readonly #options: SimulatedServerOptions;
  #sessions = 0;

  constructor(options: SimulatedServerOptions) {
    this.#options = options;
  }

  /** As `Upstream.lease`. */
  async lease(by: Program, holder: SessionHolder): Promise<RejoinedLease> {
    const { random } = this.#options.timeline;
    await this.#travel(by, "session", random.between(0, 15) === 0 ? 400 : MAX_DELAY_MS);
    if (random.between(0, 30) === 0)
      throw new UpstreamFailure("The server cannot be reached (ECONNREFUSED)", { mayHaveRun: false });
    this.#sessions += 1;
    return this.#leased(by, holder, `s${this.#sessions}`);
  }

  /** As `Upstream.rejoin`. */
  async rejoin(
    by: Program,
    { session }: Pick<Checkpoint, "session">,
    holder: SessionHolder,
  ): Promise<RejoinedLease> {
    await this.#travel(by, "session again", MAX_DELAY_MS);
    return this.#leased(by, holder, session.id ?? "");
  }

  /** As `ModernServer.lease`. */
  leaseModern(by: Program, holder: SessionHolder): Lease {
    const send: SendModern = (_method, params, listener) => this.#round(by, params, listener);
    const session = new ModernSession({ send, holder });
    return { session, isReused: false, release: () => session.close() };
  }

  /** One round of a call. Its state names the run, and nothing runs there between two of them. */
  #round(
    by: Program,
    params: JsonObject,
    { signal, onNotification, onAccepted }: Parameters<SendModern>[2],
  ): Promise<JsonRpcResponse> {
    const { timeline, listener: heard, mayDie, trace } = this.#options;
    mayDie(by);
    if (by.isDead) return new Promise(() => {});
    const state = params.requestState;
    const run = state === undefined ? this.#newRun(this.#scriptOf(params), "") : this.runs[Number(state) - 1];
    if (run === undefined) throw new Error(`no such state: ${String(state)}`);
    const { script } = run;
    const asked = run.step - 1;
    trace(
      () =>
        `${by.name}: sends ${state === undefined ? script.name : `what q${asked} of ${script.name} asked`}`,
    );
    if (state === undefined) {
      this.runs.push(run);
      heard.onSent(script, run, by);
    } else {
      run.roundsSent.push(asked);
      heard.onRound(script, run, asked);
    }
    return new Promise((resolve, reject) => {
      const meta = params._meta as { readonly progressToken: RequestId };
      const onProgress = (progress: JsonObject) =>
        onNotification({
          jsonrpc: "2.0",
          method: "notifications/progress",
          params: { ...progress, progressToken: meta.progressToken },
        });
      const listener: RequestListener = { onAccepted, onProgress };
      const connection: Connection = {
        by,
        since: timeline.now,
        listener,
        resolve,
        reject,
        arrivesAt: 0,
        isOpen: true,
      };
      run.connection = connection;
      const onAbort = () => {
        if (connection.isOpen && timeline.random.between(0, 1) === 0) run.isOver = true;
        connection.isOpen = false;
        reject(toFailure(signal.reason));
      };
      if (signal.aborted) return onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      timeline.after(timeline.random.between(0, MAX_DELAY_MS), `round of ${script.name}`, () => {
        this.#say(run, { kind: "accepted" });
        const responses = params.inputResponses as Readonly<Record<string, JsonObject>> | undefined;
        const result = responses?.[questionKey(asked)];
        if (result !== undefined && !run.answers.has(asked)) {
          run.answers.set(asked, { result });
          if (!run.isOver) heard.onAnswer(run, asked, { result });
        }
        this.#goOn(run);
      });
    });
  }

  #scriptOf(params: JsonObject | undefined): CallScript {
    const script = this.#options.scripts.get(String(params?.name));
    if (script === undefined) throw new Error(`no such tool: ${String(params?.name)}`);
    return script;
  }

  #newRun(script: CallScript, session: string): Run {
    return {
      script,
      session,
      requestId: this.runs.length + 1,
      said: [],
      answers: new Map(),
      roundsSent: [],
      step: 0,
      isOver: false,
      connection: undefined,
    };
  }

  #leased(by: Program, holder: SessionHolder, id: string): RejoinedLease {
    const runs = new Set<Run>();
    const session: ResumingSession = {
      request: (_method, params, listener = {}) =>
        this.#request(by, { holder, session, id, runs }, params, listener),
      resume: (place, listener = {}) => this.#resume(by, { holder, session, id, runs }, place, listener),
      notify: () => {},
      respond: (requestId, answer) => this.#respond(by, id, requestId, answer),
      hear: () => false,
      setLogLevel: async () => {},
    };
    const release = () => {
      for (const { connection } of runs) {
        if (connection?.asking?.session !== session || !connection.isOpen) continue;
        connection.isOpen = false;
        connection.reject(
          new UpstreamFailure("The session with the server was closed", { mayHaveRun: true }),
        );
      }
    };
    return { session, isReused: false, release };
  }

  #request(
    by: Program,
    { holder, session, id, runs }: SessionParts,
    params: JsonObject | undefined,
    listener: RequestListener,
  ): UpstreamRequest {
    const { timeline, listener: heard, mayDie, trace } = this.#options;
    const script = this.#scriptOf(params);
    const run = this.#newRun(script, id);
    mayDie(by);
    if (by.isDead) return { id: run.requestId, response: new Promise(() => {}), cancel: () => {} };
    this.runs.push(run);
    runs.add(run);
    trace(() => `${by.name}: sends ${script.name}`);
    heard.onSent(script, run, by);
    const request = this.#connect(by, { holder, session, id, runs }, run, listener);
    timeline.after(timeline.random.between(0, MAX_DELAY_MS), `request ${script.name}`, () => {
      this.#say(run, { kind: "accepted" });
      this.#goOn(run);
    });
    return request;
  }

  #resume(by: Program, parts: SessionParts, place: RequestPlace, listener: RequestListener): UpstreamRequest {
    const { timeline, trace } = this.#options;
    const run = this.runs.find(
      ({ session, requestId }) => session === parts.id && requestId === place.requestId,
    );
    if (run === undefined || !run.script.keepsEvents)
      return { id: place.requestId, response: Promise.reject(unanswered()), cancel: () => {} };
    parts.runs.add(run);
    trace(() => `${by.name}: picks up ${run.script.name} after event ${place.lastEventId}`);
    const request = this.#connect(by, parts, run, listener);
    timeline.after(timeline.random.between(0, MAX_DELAY_MS), `resume ${run.script.name}`, () => {
      const { connection } = run;
      if (connection !== undefined) this.#arrive(connection, "picked up", () => listener.onAccepted?.());
      for (const [index, message] of run.said.entries())
        if (index > Number(place.lastEventId)) this.#deliver(run, message, index);
    });
    return request;
  }

  /** Listens to a run; whoever did before does not any more. */
  #connect(by: Program, parts: SessionParts, run: Run, listener: RequestListener): UpstreamRequest {
    const { timeline } = this.#options;
    let connection: Connection | undefined;
    const response = new Promise<JsonRpcResponse>((resolve, reject) => {
      const { holder, session } = parts;
      const asking = { holder, session };
      connection = { by, since: timeline.now, asking, listener, resolve, reject, arrivesAt: 0, isOpen: true };
      run.connection = connection;
    });
    return {
      id: run.requestId,
      response,
      cancel: () => {
        timeline.after(timeline.random.between(0, MAX_DELAY_MS), `cancel ${run.script.name}`, () => {
          // Whether a server stops is its own affair.
          if (timeline.random.between(0, 1) === 0) run.isOver = true;
        });
        setTimeout(() => connection?.reject(unanswered()), CANCEL_PATIENCE_MS);
      },
    };
  }

  async #respond(by: Program, session: string, id: RequestId, answer: RequestAnswer): Promise<void> {
    const { timeline, mayDie } = this.#options;
    mayDie(by);
    if (by.isDead) return new Promise(() => {});
    const run = this.runs.find(
      (one) => one.session === session && String(id).startsWith(`${one.requestId}-`),
    );
    if (run === undefined) return;
    const step = Number(String(id).split("-")[1]);
    return new Promise((resolve) => {
      timeline.after(timeline.random.between(0, MAX_DELAY_MS), `answer ${run.script.name} ${step}`, () => {
        if (!run.answers.has(step)) {
          run.answers.set(step, answer);
          if (!run.isOver) this.#options.listener.onAnswer(run, step, answer);
          this.#goOn(run);
        }
        timeline.after(timeline.random.between(0, MAX_DELAY_MS), "answer taken", resolve, by);
      });
    });
  }

  /** Does what comes next, unless it has to wait for an answer. */
  #goOn(run: Run): void {
    const { timeline, listener } = this.#options;
    const { script } = run;
    const before = script.steps[run.step - 1];
    if (run.isOver || (before?.kind === "question" && !run.answers.has(run.step - 1))) return;
    const step = script.steps[run.step];
    if (step !== undefined) {
      const number = run.step;
      run.step += 1;
      timeline.after(step.afterMs, `${script.name} ${step.kind}`, () => {
        if (run.isOver) return;
        if (script.breaksAt === number) return this.#break(run);
        this.#say(run, { kind: step.kind, step: number });
        if (step.kind === "progress") this.#goOn(run);
      });
      return;
    }
    if (script.ending === "silence") return;
    run.isOver = true;
    const { requestId: id } = run;
    listener.onAnswered(script);
    const response: JsonRpcResponse =
      script.ending === "result"
        ? { jsonrpc: "2.0", id, result: { content: [{ type: "text", text: resultText(script) }] } }
        : { jsonrpc: "2.0", id, error: { code: -32000, message: resultText(script) } };
    this.#say(run, { kind: "answer", response });
  }

  #break(run: Run): void {
    run.isOver = true;
    const { connection } = run;
    if (connection === undefined) return;
    this.#arrive(connection, "stream breaks", () => {
      connection.isOpen = false;
      connection.reject(unanswered());
    });
  }

  #say(run: Run, message: Message): void {
    run.said.push(message);
    this.#deliver(run, message, run.said.length - 1);
  }

  #deliver(run: Run, message: Message, index: number): void {
    const { listener: heard } = this.#options;
    const { connection, script, requestId } = run;
    if (connection === undefined) return;
    const { by, asking, listener, resolve } = connection;
    this.#arrive(connection, `${script.name}: ${message.kind}`, () => {
      if (!connection.isOpen || run.connection !== connection) return;
      switch (message.kind) {
        case "accepted":
          listener.onAccepted?.();
          break;
        case "progress":
          listener.onProgress?.({ progress: message.step + 1 });
          break;
        case "question": {
          const { step } = message;
          heard.onAsked(run, step, by);
          const question = {
            method: "elicitation/create",
            params: {
              message: questionText(script, step),
              requestedSchema: { type: "object", properties: {} },
              _meta: { [KEY_HINT]: questionKey(step) },
            },
          };
          if (asking === undefined) {
            connection.isOpen = false;
            const inputRequests = { [questionKey(step)]: question };
            const result = { resultType: "input_required", inputRequests, requestState: String(requestId) };
            return resolve({ jsonrpc: "2.0", id: requestId, result });
          }
          asking.holder.onRequest(
            { ...question, jsonrpc: "2.0", id: `${requestId}-${step}` },
            asking.session,
          );
          break;
        }
        case "answer":
          connection.isOpen = false;
          heard.onHeard(script, by);
          return resolve(message.response);
      }
      if (!script.keepsEvents) return;
      const place = {
        session: { id: run.session, protocolVersion: PROTOCOL_VERSION },
        lastEventId: String(index),
      };
      listener.onPlace?.({ ...place, requestId, progressToken: requestId });
    });
  }

  /** What is said on one connection arrives in its order. */
  #arrive(connection: Connection, what: string, run: () => void): void {
    const { timeline } = this.#options;
    connection.arrivesAt = Math.max(
      connection.arrivesAt,
      timeline.now + timeline.random.between(0, MAX_DELAY_MS),
    );
    timeline.after(connection.arrivesAt - timeline.now, what, run, connection.by);
  }

  #travel(by: Program, what: string, maxMs: number): Promise<void> {
    const { timeline } = this.#options;
    return new Promise((resolve) => {
      timeline.after(timeline.random.between(0, maxMs), what, resolve, by);
    });
  }
}

interface SessionParts {
  readonly holder: SessionHolder;
  readonly session: ResumingSession;
  readonly id: string;
  readonly runs: Set<Run>;
}
