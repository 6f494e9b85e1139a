import { expect, test } from "vitest";
import { createLog } from "../../src/log/log.ts";
import { prettyLines } from "../../src/log/pretty.ts";

test("lines for people name the level, what they are about, and what happened", () => {
  const lines: string[] = [];
  const log = createLog("info", prettyLines({ write: (line) => void lines.push(line) }, false));
  log.warn({ setting: "store.url" }, "memory: loses every task when the gateway stops");
  log.child({ server: "reports" }).info({ task: "3fa9", tool: "render" }, "took over a task");
  log.info({ audit: "created", task: "3fa9", route: "reports" });
  log.info("a name with \u001b[2J in it");
  log.debug("not this one");

  expect(lines.map((line) => line.replace(/^\[\d\d:\d\d:\d\d\] /, ""))).toEqual([
    "WARN: store.url: memory: loses every task when the gateway stops\n",
    "INFO: reports: task 3fa9: took over a task\n",
    'INFO: task 3fa9: created {"route":"reports"}\n',
    "INFO: a name with \\u001b[2J in it\n",
  ]);
});
