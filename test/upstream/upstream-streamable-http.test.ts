import { describeUpstream } from "../contracts/upstream.ts";

describeUpstream({ transport: "streamable-http", death: /connection to the server broke/, cannot: {} });
