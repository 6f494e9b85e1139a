import type { InputRequest, Outcome, TaskRecord, TaskView } from "../../src/store/task-store.ts";
import { type CallScript, questionText, resultText } from "./script.ts";
import type { Run } from "./simulated-server.ts";
import type { SimulatedStore, StoreWrite } from "./simulated-store.ts";
import { EPOCH_MS, type Program } from "./timeline.ts";

export interface LedgerOptions {
  readonly leaseMs: number;
  readonly now: () => number;
  /** Whether an owner's record can be written late, by a try that was given up. */
  readonly isLate: boolean;
  readonly store: () => SimulatedStore;
  /** The clocks of two gateways differ by no more than that. */
  readonly maxSkewMs: () => number;
}

/** All that is known, outside of the gateways, of one call. */
export interface Followed {
  readonly script: CallScript;
  /** Of the task that it became, if it did. */
  id: string | undefined;
  toldAt: number | undefined;
  /** Whether what it was told has reached its client. */
  hasHandle: boolean;
  /** The last that was told of it, and how it ended, as it was first told. */
  last: TaskView | undefined;
  ending: string | undefined;
  /** When its ending came to stand in the store, and until when it has to be known. */
  endedAt: number | undefined;
  knownUntil: number;
  sent: number;
  hasAnswer: boolean;
  /** Which gateways have heard the answer to the call. */
  readonly heardBy: Program[];
  readonly runs: Run[];
  /** When questions were heard last, by which gateway, and what their clients were told to have answered. By step. */
  readonly asked: Map<number, { readonly at: number; readonly by: Program }>;
  readonly answered: Map<number, number>;
  wasCancelled: boolean;
  /** The first record of it came to stand when its gateway was gone. */
  wasBornLate: boolean;
  /** Something that was written of it was forgotten by a failover; of which gateway takes it over, in particular. */
  wasForgotten: boolean;
  wasClaimForgotten: boolean;
}

interface Replica {
  readonly me: string;
  readonly program: Program;
  beatAt: number;
  /** Others may take it to be gone, or might have. */
  wasUnheard: boolean;
}

/** What a client is told may take so long to be true of the store and everybody else, once nothing goes wrong any more. */
const SETTLING_MS = 3_000;

/**
 * What must hold whatever happens, and whether it does. Everything that is written, sent and told goes past here at the moment when it
 * happens.
 */
export class Ledger {
  /** The first promise that was broken. */
  violation: string | undefined;
  /** When something last went wrong around the gateways. */
  troubleAt = 0;
  hasFailedOver = false;
  readonly followed = new Map<string, Followed>();
  readonly #byId = new Map<string, Followed>();
  readonly #options: LedgerOptions;
  readonly #replicas = new Map<string, Replica>();
  readonly #byProgram = new Map<Program, Replica>();
  /** When programs were last heard before they were known by a name. */
  readonly #firstBeats = new Map<Program, number>();

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  broken(what: string): void {
    this.violation ??= what;
  }

  trouble(): void {
    this.troubleAt = Math.max(this.troubleAt, this.#options.now());
  }

  expect(script: CallScript): Followed {
    const followed: Followed = {
      script,
      id: undefined,
      toldAt: undefined,
      hasHandle: false,
      last: undefined,
      ending: undefined,
      endedAt: undefined,
      knownUntil: Number.POSITIVE_INFINITY,
      sent: 0,
      hasAnswer: false,
      heardBy: [],
      runs: [],
      asked: new Map(),
      answered: new Map(),
      wasCancelled: false,
      wasBornLate: false,
      wasForgotten: false,
      wasClaimForgotten: false,
    };
    this.followed.set(script.name, followed);
    return followed;
  }

  entered(me: string, program: Program): void {
    // It may have been paused before it heard that it had been heard.
    const beatAt = this.#firstBeats.get(program) ?? this.#options.now();
    const wasUnheard = this.#options.now() - beatAt >= this.#options.leaseMs;
    const replica = { me, program, beatAt, wasUnheard };
    this.#replicas.set(me, replica);
    this.#byProgram.set(program, replica);
  }

  /** It has said that it leaves, or has died. */
  left(program: Program): void {
    const replica = this.#byProgram.get(program);
    if (replica !== undefined) replica.wasUnheard = true;
  }

  /** Whether nobody can ever have taken the gateway to be gone. */
  wasAlwaysHeard(program: Program | undefined): boolean {
    const replica = program && this.#byProgram.get(program);
    if (replica === undefined || program?.isDead || this.hasFailedOver) return false;
    const isUnheard = this.#options.now() - replica.beatAt >= this.#options.leaseMs;
    return !replica.wasUnheard && !isUnheard;
  }

  ownerOf(id: string): Program | undefined {
    const store = this.#options.store();
    let owner = store.value<{ owner: string }>(`task:${id}`)?.owner;
    for (let turn = 1; ; turn += 1) {
      const cell = store.value<{ owner: string }>(`own:${id}:${turn}`);
      if (cell === undefined) return owner === undefined ? undefined : this.#replicas.get(owner)?.program;
      owner = cell.owner;
    }
  }

  forgotten(keys: ReadonlySet<string>): void {
    this.hasFailedOver = true;
    for (const key of keys)
      for (const [id, followed] of this.#byId) {
        if (!key.includes(id)) continue;
        followed.wasForgotten = true;
        if (key.startsWith("own:")) followed.wasClaimForgotten = true;
      }
  }

  /** Everything that comes to stand in the store. */
  written({ key, before, text, by }: StoreWrite): void {
    const [kind = "", id = "", turn] = key.split(":");
    switch (kind) {
      case "replica":
        return this.#beat(by, text);
      case "task":
        return this.#recorded(JSON.parse(text) as TaskRecord, by, Number(turn ?? 0));
      case "own":
      case "in":
      case "end":
        if (before !== undefined && before !== text)
          return this.broken(`${key} is written once, and ${by.name} wrote it again: ${before} → ${text}`);
        if (kind === "own") this.#taken(id, Number(turn), text, by);
        if (kind === "end") this.#ended(id, JSON.parse(text) as TaskView, by);
    }
  }

  sent(script: CallScript, run: Run): void {
    const followed = this.#of(script);
    followed.sent += 1;
    followed.runs.push(run);
    // The record of a call with an idempotency key is a claim.
    const wasForgotten = followed.wasClaimForgotten || (script.mode === "keyed" && followed.wasForgotten);
    if (followed.sent > 1 && !script.mayRepeat && !wasForgotten)
      this.broken(`${script.name} was sent ${followed.sent} times`);
  }

  /** The answers to a question of a server whose calls have rounds are on their way to it. */
  sentRound(script: CallScript, { roundsSent }: Run, step: number): void {
    const { wasClaimForgotten } = this.#of(script);
    const times = roundsSent.filter((sent) => sent === step).length;
    if (times > 1 && !wasClaimForgotten)
      this.broken(`${script.name}: the round after question ${step} was sent ${times} times`);
  }

  /** The server has answered. */
  answered(script: CallScript): void {
    this.#of(script).hasAnswer = true;
  }

  heard(script: CallScript, by: Program): void {
    this.#of(script).heardBy.push(by);
  }

  asked({ script }: Run, step: number, by: Program): void {
    this.#of(script).asked.set(step, { at: this.#options.now(), by });
  }

  /** The server gets an answer to a question. */
  answerArrived({ script }: Run, step: number, answer: unknown): void {
    const { id, wasForgotten } = this.#of(script);
    const given = (answer as { result?: { content?: { value?: string } } }).result?.content?.value;
    if (given === undefined || id === undefined || wasForgotten || script.mayRepeat) return;
    const stands = this.#options
      .store()
      .value<{ result: { content: { value: string } } }>(`in:${id}:q${step}`)?.result.content.value;
    if (stands !== given)
      this.broken(`${script.name}: the server was told ${given}, and what stands is ${stands ?? "nothing"}`);
  }

  /** A client is given a handle. */
  told(script: CallScript, record: TaskRecord): void {
    const followed = this.#of(script);
    followed.toldAt ??= this.#options.now();
    followed.id = record.id;
    const store = this.#options.store();
    const isThere = store.text(`task:${record.id}`) ?? store.text(`end:${record.id}`);
    if (isThere === undefined && !followed.wasForgotten && !this.hasFailedOver)
      this.broken(`${script.name}: its client was told of a task that is not durable`);
  }

  /**
   * A client is told that its answer to a question was taken. Others than the owner take an answer only to what the record shows, and ignore it
   * where that is an older one that was written late: then it is asked for again.
   */
  answerTaken({ script, id = "" }: Followed, step: number, by: Program): void {
    const isIgnored = this.#standing(script, step) === undefined && by !== this.ownerOf(id);
    if (!this.#options.isLate || !isIgnored) this.#of(script).answered.set(step, this.#options.now());
  }

  /** A client is told the state of its task by a gateway, as it was read some time after `sinceMs`. */
  seen(followed: Followed, view: TaskView, by: Program, sinceMs: number): void {
    const { script, last, wasForgotten } = followed;
    const { task, outcome } = view;
    if (outcome !== undefined) this.#checkEnding(script, outcome);
    // A gateway that does not reach the store tells what it remembers, and cannot know what others have written since.
    const isFromMemory = outcome === undefined && (this.#options.store().failedAt.get(by) ?? -1) >= sinceMs;
    if (wasForgotten || isFromMemory) return;
    const ending = outcome && JSON.stringify(outcome);
    if (followed.ending !== undefined && ending !== followed.ending)
      this.broken(`${script.name} had ended so: ${followed.ending}, and then: ${ending ?? "not at all"}`);
    followed.ending ??= ending;
    if (last !== undefined && last.task.createdAt !== task.createdAt && !this.#options.isLate)
      this.broken(`${script.name}: the time of its creation has changed`);
    if (outcome === undefined) this.#checkQuestions(followed, task.inputRequests, sinceMs);
    followed.last = view;
  }

  /** A client is told that there is no such task. */
  unknown(followed: Followed): void {
    const { script, wasForgotten, knownUntil } = followed;
    if (wasForgotten || this.#options.now() >= knownUntil) return;
    this.broken(`${script.name}: its client was told that there is no such task`);
  }

  /** Whether a task has yet to end. Of one whose creation seemed to fail nobody has to know but its owner's successors. */
  isDue({ id, hasHandle, endedAt, wasBornLate, wasForgotten }: Followed): boolean {
    if (id === undefined || endedAt !== undefined || wasForgotten) return false;
    // A write that a cluster made late, when others had looked for what the gateway left: its call was refused, and nobody sends it.
    if (wasBornLate && !hasHandle) return false;
    // What a failover forgets can be that there was this gateway; then nobody finds its task but a client that asks for it.
    return hasHandle || (this.ownerOf(id)?.isDead === true && !this.hasFailedOver);
  }

  /** Nothing has gone wrong for long, and everything has had its time. */
  settled(): void {
    for (const followed of this.followed.values()) {
      const { script, heardBy, ending } = followed;
      if (this.isDue(followed)) this.broken(`${script.name} has not ended within its time`);
      const isKept = heardBy.some((by) => this.wasAlwaysHeard(by));
      if (isKept && ending !== undefined && JSON.parse(ending).kind === "lost")
        this.broken(`${script.name} is lost, and the gateway that heard the answer has lived on`);
    }
  }

  /** How long questions have been waiting for nobody: asked, heard, and either unreadable or answered in vain. */
  checkAnswers(): void {
    const { now } = this.#options;
    for (const {
      script,
      id,
      answered,
      runs,
      wasForgotten,
      wasCancelled,
      endedAt,
    } of this.followed.values()) {
      if (id === undefined || wasForgotten || wasCancelled || script.mayRepeat || endedAt !== undefined)
        continue;
      const run = runs.at(-1);
      for (const [step, at] of answered) {
        // A call that is taken over may have to wait its turn before its session is joined again.
        const isConnected = run !== undefined && !run.isOver && run.connection?.by === this.ownerOf(id);
        const since = Math.max(at, this.troubleAt, run?.connection?.since ?? 0);
        const isDue = now() > since + SETTLING_MS + 2 * this.#options.leaseMs;
        if (isDue && isConnected && !run.answers.has(step))
          this.broken(`${script.name}: the server was never told the answer to question ${step}`);
      }
    }
  }

  #of({ name }: CallScript): Followed {
    const followed = this.followed.get(name);
    if (followed === undefined) throw new Error(`nobody follows ${name}`);
    return followed;
  }

  #beat(by: Program, text: string): void {
    const replica = this.#byProgram.get(by);
    if (replica === undefined) return void this.#firstBeats.set(by, this.#options.now());
    const { hasLeft } = JSON.parse(text) as { readonly hasLeft?: boolean };
    if (hasLeft || this.#options.now() - replica.beatAt >= this.#options.leaseMs) replica.wasUnheard = true;
    replica.beatAt = this.#options.now();
  }

  #recorded(record: TaskRecord, by: Program, turn: number): void {
    const { script } = this.#of({ name: record.tool } as CallScript);
    const followed = this.#of(script);
    if (followed.id === undefined && this.#options.isLate && by.isDead) followed.wasBornLate = true;
    followed.id ??= record.id;
    this.#byId.set(record.id, followed);
    if (this.hasFailedOver) return;
    const me = this.#byProgram.get(by)?.me;
    const owner =
      turn === 0
        ? record.owner
        : this.#options.store().value<{ owner: string }>(`own:${record.id}:${turn}`)?.owner;
    if (record.owner !== me || owner !== me)
      this.broken(`${by.name} wrote the record of turn ${turn} of ${script.name}, which is not its own`);
  }

  #taken(id: string, turn: number, text: string, by: Program): void {
    const followed = this.#byId.get(id);
    if (followed === undefined || this.hasFailedOver) return;
    const { owner } = JSON.parse(text) as { readonly owner: string };
    if (owner !== this.#byProgram.get(by)?.me) this.broken(`${by.name} took a task over for somebody else`);
    const store = this.#options.store();
    const before = store.value<{ owner: string }>(turn === 1 ? `task:${id}` : `own:${id}:${turn - 1}`)?.owner;
    const program = before === undefined ? undefined : this.#replicas.get(before)?.program;
    if (program !== by && this.wasAlwaysHeard(program))
      this.broken(`${by.name} took ${followed.script.name} over from ${program?.name}, which is alive`);
  }

  #ended(id: string, { outcome, task }: TaskView, by: Program): void {
    const followed = this.#byId.get(id);
    if (followed === undefined || outcome === undefined) return;
    const { script } = followed;
    followed.endedAt ??= this.#options.now();
    if (!this.#options.store().isListed("outbox-", `z--------${id}`))
      this.broken(`${script.name} has ended, and nobody is to be told`);
    // Counted from the ending, which may have waited for the store.
    const endedAt = outcome.endedAt - EPOCH_MS;
    followed.knownUntil = Math.min(
      followed.knownUntil,
      endedAt + task.terms.ttlMs - this.#options.maxSkewMs(),
    );
    this.#checkEnding(script, outcome);
    // What was given up may be ended by anybody, its last owner or not.
    const owner = this.#isGivenUp(id, task.turn ?? 0) ? undefined : this.ownerOf(id);
    if (outcome.kind === "lost" && owner !== by && this.wasAlwaysHeard(owner))
      this.broken(`${by.name} gave ${script.name} up for lost, whose owner ${owner?.name} is alive`);
    // A task whose creation seemed to fail may be taken back, unless its client was told of it: one with an idempotency key may have asked
    // for it somewhere else meanwhile, and hears that it was never begun.
    const wasTold = followed.toldAt !== undefined && script.mode !== "keyed";
    if (outcome.kind === "cancelled" && !followed.wasCancelled && wasTold)
      this.broken(`${script.name} was cancelled, and nobody had asked for that`);
  }

  #isGivenUp(id: string, turn: number): boolean {
    const store = this.#options.store();
    const isLast = store.text(`own:${id}:${turn + 1}`) === undefined;
    return isLast && store.value<{ isGivenUp?: boolean }>(`own:${id}:${turn}`)?.isGivenUp === true;
  }

  /** A result is the server's own, and the whole of it. */
  #checkEnding(script: CallScript, outcome: Outcome): void {
    if (outcome.kind !== "completed") return;
    const { hasAnswer } = this.#of(script);
    const said = JSON.parse(outcome.result) as { readonly content?: readonly { readonly text?: string }[] };
    if (!hasAnswer || said.content?.[0]?.text !== resultText(script))
      this.broken(`${script.name} completed with what its server has not said: ${outcome.result}`);
  }

  #checkQuestions(
    { script, id, asked, answered, runs }: Followed,
    shown: Readonly<Record<string, InputRequest>>,
    sinceMs: number,
  ): void {
    const texts = new Set(Object.values(shown).map(({ params }) => params?.message));
    const run = runs.at(-1);
    // Who takes a call over may have to wait its turn before it hears what was asked.
    const owner = id === undefined ? undefined : this.ownerOf(id);
    for (const [step, { at, by }] of asked) {
      const text = questionText(script, step);
      const answeredAt = answered.get(step);
      if (answeredAt !== undefined && answeredAt < sinceMs && texts.has(text) && !script.mayRepeat)
        this.broken(`${script.name}: question ${step} is asked again, whose answer was taken`);
      const isOpen = answeredAt === undefined && run !== undefined && !run.isOver && !run.answers.has(step);
      const isDue = sinceMs > Math.max(at, this.troubleAt) + SETTLING_MS + 2 * this.#options.leaseMs;
      const stands = answeredAt ?? this.#standing(script, step);
      const isHeard = by === run?.connection?.by && by === owner && !by.isDead;
      // A server whose calls have rounds waits for nobody in particular: its questions are kept for the next gateway, or the task is lost.
      const isKept = script.isModern && !script.mayRepeat;
      if (isOpen && isDue && stands === undefined && (isHeard || isKept) && !texts.has(text))
        this.broken(
          `${script.name}: question ${step} was asked ${Math.round(sinceMs - at)} ms ago and is not shown`,
        );
    }
  }

  #standing(script: CallScript, step: number): string | undefined {
    const { id } = this.#of(script);
    return this.#options.store().text(`in:${id}:q${step}`);
  }
}
