/** The server of legacy-everything-server.ts on its standard streams, for one session. */

import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { legacyEverything } from "../legacy-everything-server.ts";

await legacyEverything("session").newServer().connect(new StdioServerTransport());
