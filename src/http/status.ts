/** Whether the gateway wants requests, and why not: the same on the main port and on the admin listener. */
export type Status = "ready" | "stopping" | "store takes no writes";
