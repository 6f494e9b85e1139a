/** How much is measured. */
export interface Effort {
  readonly rounds: number;
  /** Before anything is measured: until then it is the compiler that works. */
  readonly warmUpMs: number;
  /** How long each kind of load lasts, each round and contestant. */
  readonly callMs: number;
  readonly createMs: number;
  readonly getMs: number;
  /** Tasks in flight for the measurement of memory. */
  readonly heldTasks: number;
  /** Streams that are open for the measurement of theirs. */
  readonly heldStreams: number;
}

export const USUAL: Effort = {
  rounds: 5,
  warmUpMs: 3_000,
  callMs: 1_200,
  createMs: 600,
  getMs: 1_000,
  heldTasks: 10_000,
  heldStreams: 2_000,
};

export const QUICK: Effort = {
  rounds: 3,
  warmUpMs: 1_000,
  callMs: 300,
  createMs: 300,
  getMs: 300,
  heldTasks: 2_000,
  heldStreams: 500,
};
