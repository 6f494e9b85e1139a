/** Many callers, each with a session for lists of their own. */

import { expect, onTestFinished, test } from "vitest";
import { startScriptedServer } from "../support/scripted-server.ts";
import { upstreamOf } from "../support/upstream.ts";

/** As many as are kept, if somebody listens on all of them. */
const MANY = 256;

test("a caller is answered however many others listen, each on a session of their own", async () => {
  const server = await startScriptedServer({});
  onTestFinished(server.close);
  const upstream = upstreamOf(server.url);
  const controlOf = (caller: string) => upstream.control({ caller, headers: {}, capabilities: {} });
  for (let index = 0; index < MANY; index += 1) controlOf(`listener ${index}`).listen(() => {});
  expect(await controlOf("ada").ask("tools/list")).toHaveProperty("result.tools");
});
