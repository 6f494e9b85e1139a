/** What a scripted server says in the end. */

import { textResult } from "../support/story.ts";

/** The result of a tool, and the answer to the request 1 with it: as JSON, and as the last of some events. */
export const DONE = textResult("done ✓");
export const ANSWER = JSON.stringify({ jsonrpc: "2.0", id: 1, result: DONE });
export const EVENTS = `: hello\n\nid: 7\nevent: message\ndata: ${ANSWER}\n\n`;
/** As no `JSON.stringify` would write it: it has to come through to the byte. */
export const ODD_ANSWER = `{ "jsonrpc":"2.0",\r\n\t"result":{"content":[],"n":1.0e0,"n":12345678901234567890,"s":"\\u00e9"},"id" : 1}`;

/** The error that a client gets for the request 1. */
export const failed = (code: number, message: unknown) => ({
  jsonrpc: "2.0",
  id: 1,
  error: { code, message },
});
