import { describeUpstream } from "../contracts/upstream.ts";

const NO_SESSION = "what answers one request knows nothing of the others";

describeUpstream({
  transport: "stateless",
  death: /connection to the server broke/,
  cannot: { questions: NO_SESSION, cancel: NO_SESSION, "list changes": NO_SESSION },
});
