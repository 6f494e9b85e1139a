// A process of its own, to die by an exception or a signal: starts a process that holds on to the port of its first argument, and
// throws as soon as it is told anything.
import { Child } from "../../../src/upstream/transports/child.ts";
import { script } from "./scripts.ts";

await Child.start(script("holds-on", process.argv[2] ?? ""));
process.stdin.once("data", () => {
  throw new Error("something was forgotten");
});
