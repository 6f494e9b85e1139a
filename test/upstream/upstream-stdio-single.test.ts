import { describeUpstream } from "../contracts/upstream.ts";

describeUpstream({
  transport: "stdio",
  sessions: "single",
  death: /^The server exited with code 3 in the middle of the call: disk full$/,
  cannot: { "parallel questions": "the one session has one call at a time" },
});
