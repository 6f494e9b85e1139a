// Prints a banner before it speaks the protocol, and now and then a line of its log.
import { serve } from "./server.mjs";

process.stdout.write("\n  Reports server 1.0\r\n\n{ not json }\n[]\n");
serve({ echo: ({ text }) => text });
