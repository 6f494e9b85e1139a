import { describeUpstream } from "../contracts/upstream.ts";

describeUpstream({
  transport: "stdio",
  death: /^The server exited with code 3 in the middle of the call: disk full$/,
  cannot: {
    "list changes by a call": "every session is a process of its own, and one knows nothing of the others",
  },
});
