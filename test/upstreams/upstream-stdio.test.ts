import { describeUpstream } from "../contracts/upstream.ts";

describeUpstream({
  transport: "stdio",
  death: /^The server exited with code 3 in the middle of the call: disk full$/,
  cannot: {},
});
