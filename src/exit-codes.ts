/** What the exit code of every command says (docs/operations.md, Exit codes). */
export const EXIT = {
  done: 0,
  /** What was asked about is not well: a tool failed, a gateway or a receiver refused, a file or a store has errors. */
  failed: 1,
  /** The command cannot be carried out as it is written, or with the configuration that there is. */
  unusable: 2,
  /** Nobody answers who could do it. */
  unreachable: 3,
  interrupted: 130,
} as const;
