/** The part of an `AbortSignal` that waits use: every `AbortSignal` is one. */
export interface Signal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(event: "abort", listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(event: "abort", listener: () => void): void;
}

/** Calls `act` when any of the signals is aborted; at once if one is. Returns the function that stops listening. */
export function onAbort(signals: Signal | readonly Signal[], act: () => void): () => void {
  const all = [signals].flat() as readonly Signal[];
  for (const signal of all) signal.addEventListener("abort", act, { once: true });
  if (all.some(({ aborted }) => aborted)) act();
  return () => {
    for (const signal of all) signal.removeEventListener("abort", act);
  };
}

/** A signal and its controller in one, for what every request and every call needs: an `AbortController` with its event target costs a multiple. */
export class OwnSignal implements Signal {
  readonly #listeners: (() => void)[] = [];
  #aborted: { readonly reason: unknown } | undefined;

  get aborted(): boolean {
    return this.#aborted !== undefined;
  }

  get reason(): unknown {
    return this.#aborted?.reason;
  }

  /** Each listener is called once, as there is one event. */
  addEventListener(_event: "abort", listener: () => void): void {
    if (this.#aborted === undefined) this.#listeners.push(listener);
  }

  removeEventListener(_event: "abort", listener: () => void): void {
    const at = this.#listeners.indexOf(listener);
    if (at !== -1) this.#listeners.splice(at, 1);
  }

  /** The first reason stands. */
  abort(reason: unknown): void {
    if (this.#aborted !== undefined) return;
    this.#aborted = { reason };
    for (const listener of this.#listeners.splice(0)) listener();
  }
}
