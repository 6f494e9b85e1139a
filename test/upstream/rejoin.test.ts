/** Calls that one process begins and another goes on with, at servers of the v1 SDK that keep their events. */

import { expect, test } from "vitest";
import { half, said } from "../support/call-halves.ts";
import { type Job, startJobServer } from "../support/job-server.ts";
import { accept } from "../support/story.ts";

const askName = async ({ asks, progress }: Job): Promise<string> => {
  await progress(1);
  const { name } = await asks.elicit("user_name", "Who are you?", { name: { type: "string" } });
  await progress(2);
  return `Hello, ${String(name)}`;
};

/** What is recorded of a call that was left when its server had asked. */
async function leftWhileAsking(url: Parameters<typeof half>[0]) {
  const began = half(url).call();
  began.call.start();
  const record = await began.asked();
  began.call.handOff();
  return record;
}

test.each(["call", "session"] as const)(
  "a question that was asked on the %s's stream is answered after the process that heard it was killed",
  async (asksOn) => {
    const server = await startJobServer(askName, { asksOn });
    const first = half(server.url);
    const began = first.call();
    began.call.start();
    const record = await began.asked();
    expect(record.checkpoint.asked).toEqual({ user_name: 0 });
    began.call.handOff();
    await first.kill();

    const rest = half(server.url).rest(record);
    expect(rest.call.inputRequests).toEqual(record.inputRequests);
    rest.call.answer({ user_name: accept({ name: "Ada" }) });
    rest.call.start();

    expect(said(await rest.ended())).toBe("Hello, Ada");
    expect(rest.heard).toContain("progress 2");
    expect(server.told).toMatchObject({ runs: 1, done: 1, cancelled: 0 });
  },
);

test("an answer that comes when the session is there again reaches the server as well", async () => {
  const server = await startJobServer(askName);
  const record = await leftWhileAsking(server.url);

  const rest = half(server.url).rest(record);
  rest.call.start();
  await rest.until(() => rest.heard.includes("accepted"), "the stream to go on");
  rest.call.answer({ user_name: accept({ name: "Bob" }) });

  expect(said(await rest.ended())).toBe("Hello, Bob");
});

test("a result that came while nobody listened is collected, and the session is ended", async () => {
  const server = await startJobServer(async ({ progress, released }) => {
    await progress(1);
    await released;
    return "done";
  });
  const first = half(server.url);
  const began = first.call();
  began.call.start();
  await began.until(() => began.heard.includes("progress 1"), "progress");
  const record = await began.placed();
  began.call.handOff();
  await first.kill();
  server.release();
  await server.until(() => server.told.done === 1, "the job to be done");

  const rest = half(server.url).rest(record);
  rest.call.start();

  expect(said(await rest.ended())).toBe("done");
  expect(server.told).toMatchObject({ runs: 1, cancelled: 0 });
  await expect.poll(() => server.sessions).toBe(0);
});

test("what the server said after the place is heard again, but a question that is open is not asked twice", async () => {
  const server = await startJobServer(askName);
  const began = half(server.url).call();
  // One chunk may have several events.
  const places: (typeof began.call.checkpoint)[] = [];
  began.call.listen({ onCheckpoint: () => places.push(began.call.checkpoint) });
  began.call.start();
  const record = await began.asked();
  const [early] = places;
  expect(early?.lastEventId).not.toBe(record.checkpoint.lastEventId);
  began.call.handOff();

  const { lastEventId } = early as NonNullable<typeof early>;
  const rest = half(server.url).rest({ ...record, checkpoint: { ...record.checkpoint, lastEventId } });
  rest.call.start();
  await rest.until(
    () => rest.call.checkpoint?.lastEventId === record.checkpoint.lastEventId,
    "the question again",
  );
  expect(rest.heard).not.toContain("questions");
  expect(Object.keys(rest.call.inputRequests)).toEqual(["user_name"]);
  rest.call.answer({ user_name: accept({ name: "Ada" }) });

  expect(said(await rest.ended())).toBe("Hello, Ada");
});

test("a question gets no key that was used before", async () => {
  const server = await startJobServer(async ({ asks }) => {
    const { name } = await asks.elicit("name", "Who are you?", { name: { type: "string" } });
    const { town } = await asks.elicit("name", "Where do you live?", { town: { type: "string" } });
    return `${String(name)} of ${String(town)}`;
  });
  const record = await leftWhileAsking(server.url);

  const rest = half(server.url).rest(record);
  rest.call.answer({ name: accept({ name: "Ada" }) });
  rest.call.start();
  const next = await rest.asked();
  const keys = Object.keys(next.inputRequests);
  expect(keys).toHaveLength(1);
  expect(keys).not.toContain("name");
  expect(next.checkpoint.usedKeys).toEqual(["name", ...keys]);
  rest.call.answer({ [String(keys[0])]: accept({ town: "London" }) });

  expect(said(await rest.ended())).toBe("Ada of London");
});

test("an answer that was recorded but may not have been sent is sent, and nobody is asked", async () => {
  const server = await startJobServer(askName);
  const began = half(server.url).call();
  began.call.start();
  const { checkpoint } = await began.asked();
  began.call.handOff();

  const rest = half(server.url).rest({ checkpoint, inputRequests: {} });
  expect(rest.call.isAsking).toBe(false);
  rest.call.takeAnswers(new Map([["user_name", { result: accept({ name: "Ada" }) }]]));
  rest.call.start();

  expect(said(await rest.ended())).toBe("Hello, Ada");
  expect(rest.heard).not.toContain("questions");
});

test("a call is gone on with by one process after the other", async () => {
  const server = await startJobServer(askName);
  let held = half(server.url).call();
  held.call.start();
  for (let turn = 0; turn < 3; turn += 1) {
    const record = await held.asked();
    held.call.handOff();
    held = half(server.url).rest(record);
    held.call.start();
    await held.until(() => held.heard.includes("accepted"), "the stream to go on");
  }
  held.call.answer({ user_name: accept({ name: "Ada" }) });

  expect(said(await held.ended())).toBe("Hello, Ada");
  expect(server.told).toMatchObject({ runs: 1, cancelled: 0 });
});

test("a call that is left ends as left, and the server is told nothing", async () => {
  const server = await startJobServer(askName);
  const began = half(server.url).call();
  began.call.start();
  await began.asked();
  began.call.handOff();

  expect(began.call.end).toEqual({ kind: "handedOff" });
  expect(began.call.checkpoint).toBeUndefined();
  expect(server.sessions).toBe(1);
  expect(server.told).toMatchObject({ done: 0, cancelled: 0 });
});

test("a call that is cancelled while it is picked up is cancelled on the server", async () => {
  const server = await startJobServer(askName);
  const record = await leftWhileAsking(server.url);

  const rest = half(server.url).rest(record);
  rest.call.start();
  rest.call.cancel("no longer wanted");

  expect(await rest.ended()).toEqual({ kind: "cancelled", reason: "no longer wanted" });
  await server.until(() => server.told.cancelled === 1, "the server to hear of it");
});

test("a rejoined session counts for maxSessions", async () => {
  const server = await startJobServer(askName);
  const record = await leftWhileAsking(server.url);

  const second = half(server.url, { maxSessions: 1 });
  const rest = second.rest(record);
  rest.call.start();
  await rest.until(() => rest.heard.includes("accepted"), "the stream to go on");
  const other = second.call();
  other.call.start();
  rest.call.answer({ user_name: accept({ name: "Ada" }) });
  expect(said(await rest.ended())).toBe("Hello, Ada");
  await other.asked();
  other.call.answer({ user_name: accept({ name: "Bob" }) });

  expect(said(await other.ended())).toBe("Hello, Bob");
  expect(other.heard.indexOf("sent")).toBeGreaterThan(-1);
});

test("where a server gives its events no ids, there is nothing to pick up", async () => {
  const server = await startJobServer(askName, { isResumable: false });
  const began = half(server.url).call();
  began.call.start();
  await began.until(() => began.call.isAsking, "a question");
  expect(began.call.checkpoint).toBeUndefined();
  expect(began.heard).not.toContain("checkpoint");
  began.call.answer({ user_name: accept({ name: "Ada" }) });

  expect(said(await began.ended())).toBe("Hello, Ada");
});
