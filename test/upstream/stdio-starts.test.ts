/** Servers over stdio that do not start: nobody waits for them longer than need be, and they are not started over and over. */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { type CommandUnderTest, gatewayFor } from "../support/gateway.ts";
import type { Answer, ModernClient } from "../support/modern-client.ts";
import { processesWith } from "../support/stdio-servers/processes.ts";
import { script } from "../support/stdio-servers/scripts.ts";
import { textOf } from "../support/story.ts";

const NOT_MOUNTED = "The server exited with code 1 before it answered initialize: the disk is not mounted";

describe("a server that exits at once", () => {
  test("is not started for each of two hundred calls, and is when it may work again", async () => {
    const { user, remedy, starts } = await lateStarter();
    const answers = await Promise.all(Array.from({ length: 200 }, () => echo(user)));
    const messages = answers.map(({ message }) => String(message.error.message));
    expect(messages.filter((message) => !message.startsWith(NOT_MOUNTED))).toEqual([]);
    expect(messages).toContainEqual(
      expect.stringMatching(/; it will not be started again for another \d+\.\d s$/),
    );
    // As many as were under way when the first failed, and those of a few pauses if the machine is slow.
    expect(await starts()).toBeLessThan(50);

    await remedy();
    const works = await until(async () => {
      const { message } = await echo(user);
      return message.result;
    });
    expect(textOf(works)).toBe("hello");
  });
});

test.each([
  [
    "that does not exist",
    { command: "taskgate-no-such-command", args: [] },
    "command not found: taskgate-no-such-command",
  ],
  [
    "that may not be executed",
    { command: import.meta.filename, args: [] },
    `not executable: ${import.meta.filename}`,
  ],
])("a command %s is told by name", async (_, upstream, reason) => {
  const { client, gateway } = await gatewayFor({ upstream });
  expect(gateway.routes[0]?.description).toBe(
    `unreachable: The server could not be started: ${reason}, will retry`,
  );
  const { message } = await echo(client());
  expect(message.error.message).toContain(`The server could not be started: ${reason}`);
});

test("a server that never answers initialize is given up after startTimeout, and ended", async () => {
  const marker = `never-answers-${process.pid}`;
  const { command, args } = script("silent", marker);
  const { client } = await gatewayFor({ upstream: { command, args, startTimeoutMs: 300 } });
  const { message } = await echo(client());
  expect(message.error.message).toContain(
    "The server did not answer initialize within 300 ms (startTimeout)",
  );
  expect(await until(async () => ((await processesWith(marker)).length === 0 ? "gone" : undefined))).toBe(
    "gone",
  );
});

test("a server that dies in the middle of a call is started again for the next one at once", async () => {
  const { command, args } = script("odd-tools");
  const { client } = await gatewayFor({ upstream: { command, args }, policy: { waitForMs: 60_000 } });
  const user = client();
  for (const code of [3, 4, 5]) {
    const { message } = await user.send("tools/call", { name: "exit", arguments: { code } });
    expect(message.error.message).toBe(`The server exited with code ${code} in the middle of the call`);
  }
  expect((await echo(user)).message.result.content).toEqual([{ type: "text", text: "hello" }]);
});

function echo(user: ModernClient): Promise<Answer> {
  return user.send("tools/call", { name: "echo", arguments: { text: "hello" } });
}

/** A gateway in front of a server that does not start until there is a remedy. */
async function lateStarter() {
  const directory = await mkdtemp(join(tmpdir(), "taskgate-starts-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const [starts, remedy] = [join(directory, "starts"), join(directory, "remedy")];
  const { command, args } = script("starts-late", starts, remedy);
  const upstream: CommandUnderTest = { command, args };
  const { client } = await gatewayFor({ upstream, policy: { waitForMs: 60_000 } });
  return {
    user: client(),
    starts: async () => (await readFile(starts, "utf8")).length,
    remedy: () => writeFile(remedy, ""),
  };
}

/** What `find` gives as soon as that is something; it is a matter of seconds. */
async function until<T>(find: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const found = await find();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error("waited 20 s in vain");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
