import { describeUpstream } from "../contracts/upstream.ts";

const NO_STREAM = "the answer is the only thing that a server without streams can send";

describeUpstream({
  transport: "json-only",
  death: /connection to the server broke/,
  cannot: { progress: NO_STREAM, questions: NO_STREAM, logging: NO_STREAM, "list changes": NO_STREAM },
});
