/** How much is measured. */
export interface Effort {
  readonly rounds: number;
  /** Before anything is measured: until then it is the compiler that works. So long, or so many requests. */
  readonly warmUp: { readonly forMs: number; readonly atMost: number };
  /** How long each kind of load lasts, each round and contestant. */
  readonly callMs: number;
  readonly createMs: number;
  readonly getMs: number;
  /** Tasks that end in each round, and are told of. */
  readonly toldTasks: number;
  /** Tasks in flight for the measurement of memory. */
  readonly heldTasks: number;
  /** Streams that are open for the measurement of theirs. */
  readonly heldStreams: number;
  /** Whether other bridges take part where they are no yardstick. */
  readonly hasBystanders: boolean;
}

export const USUAL: Effort = {
  rounds: 7,
  warmUp: { forMs: 10_000, atMost: 5_000 },
  callMs: 1_200,
  createMs: 600,
  getMs: 1_000,
  toldTasks: 500,
  heldTasks: 10_000,
  heldStreams: 2_000,
  hasBystanders: true,
};

/** As many rounds, because fewer are no better than chance where others work on the machine; each of them is short. */
export const QUICK: Effort = {
  rounds: 7,
  warmUp: { forMs: 3_000, atMost: 2_000 },
  callMs: 200,
  createMs: 150,
  getMs: 200,
  toldTasks: 200,
  heldTasks: 2_000,
  heldStreams: 500,
  hasBystanders: false,
};
