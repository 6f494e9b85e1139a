import { describeUpstream } from "../contracts/upstream.ts";

describeUpstream({ transport: "sse", death: /event stream|connection to the server broke/, cannot: {} });
