import type { UpstreamFailure } from "../failure.ts";

/** The end of a stream, as a promise that need not be awaited. */
export class StreamEnd {
  readonly ended: Promise<void>;
  end: (failure?: UpstreamFailure) => void = () => {};

  constructor() {
    this.ended = new Promise((resolve, reject) => {
      this.end = (failure) => (failure === undefined ? resolve() : reject(failure));
    });
    this.ended.catch(() => {});
  }
}
