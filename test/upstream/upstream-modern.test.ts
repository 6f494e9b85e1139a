import { describeUpstream } from "../contracts/upstream.ts";

describeUpstream({
  transport: "modern",
  era: /^modern 2026-07-28$/,
  death: /connection to the server broke/,
  cannot: {},
});
