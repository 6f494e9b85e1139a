/** The server of modern-only.ts on its standard streams. */

import { serveStdio } from "@modelcontextprotocol/server/stdio";
import { modernOnlyServer, newJournal } from "../modern-only.ts";

serveStdio(() => modernOnlyServer(newJournal()), { legacy: "reject" });
