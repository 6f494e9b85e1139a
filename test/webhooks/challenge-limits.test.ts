import { expect, test } from "vitest";
import { eventsErrors } from "../../src/protocol/events.ts";
import { ChallengeLimits } from "../../src/webhooks/subscriptions/challenge.ts";

function limits() {
  let now = 0;
  const tested = new ChallengeLimits(eventsErrors("sketch"), () => now);
  return {
    pass: (ms: number) => {
      now += ms;
    },
    begin: (caller: string) => tested.takeNew(caller),
    ask: (host: string, caller: string) => tested.within(host, caller, async () => "asked"),
    hold: (host: string, caller: string, until: Promise<void>) => tested.within(host, caller, () => until),
  };
}

test("to one host go twenty challenges a minute, whoever asks", async () => {
  const { ask, pass } = limits();
  for (let n = 0; n < 20; n += 1) await ask("receiver.example", `caller ${n}`);
  await expect(ask("receiver.example", "another")).rejects.toMatchObject({ code: -32013, data: { max: 20 } });
  expect(await ask("other.example", "another")).toBe("asked");
  pass(3_000);
  expect(await ask("receiver.example", "another")).toBe("asked");
  await expect(ask("receiver.example", "another")).rejects.toMatchObject({ code: -32013 });
});

test("for one caller go sixty a minute, to whatever hosts", async () => {
  const { ask } = limits();
  for (let n = 0; n < 60; n += 1) await ask(`host-${n}.example`, "ada");
  await expect(ask("another.example", "ada")).rejects.toMatchObject({ code: -32013, data: { max: 60 } });
  expect(await ask("another.example", "eve")).toBe("asked");
});

test("at one time there are so many, and those that are over make room", async () => {
  const { ask, hold } = limits();
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const held = Array.from({ length: 32 }, (_, n) => hold(`host-${n}.example`, `caller ${n}`, opened));
  await expect(ask("another.example", "ada")).rejects.toMatchObject({ code: -32013, data: { max: 32 } });
  open();
  await Promise.all(held);
  expect(await ask("another.example", "ada")).toBe("asked");
});

test("a caller begins sixty subscriptions a minute", () => {
  const { begin, pass } = limits();
  for (let n = 0; n < 60; n += 1) begin("ada");
  expect(() => begin("ada")).toThrow("new subscriptions of a caller in a minute is 60");
  begin("eve");
  pass(1_000);
  begin("ada");
});
