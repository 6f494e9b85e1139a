import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { resolveLimits } from "../../src/config/limit-settings.ts";
import { taskName } from "../../src/log/task-name.ts";
import { named, reloading } from "../reload/reloading.ts";
import { withoutPrograms } from "../support/required-programs.ts";
import { asksOnce, count, gate, INPUT, type StorySettings, story, textResult } from "../support/story.ts";
import { answering, startReceiver } from "../webhooks/receiver.ts";

const HOSTILE = "<img src=x onerror=\"document.title='hit'\">";
const TOKEN = "an-admin-token-of-the-tests";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const DOCS = fileURLToPath(new URL("../../docs", import.meta.url));
const WORK_MS = 150_000;
/** In a container Chromium has no sandbox of its own to put pages into. */
const ARGS = ["--no-sandbox", "--disable-gpu"];

describe.skipIf(withoutPrograms("the console", "chromium"))("the console", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS });
  });
  afterAll(() => browser.close());

  /** A gateway and its console in a window; what the page complains of is a fault of the test. */
  async function opened(settings: StorySettings = {}, path = "/") {
    const { opened: over, open } = gate();
    onTestFinished(() => open());
    const tested = await story(
      {
        "tools/call": async (call) => {
          if (call.message.params?.name !== "quick") await Promise.race([over, call.cancelled]);
          call.json(textResult("done"));
        },
      },
      { admin: true, policy: { mode: "always" }, ...settings },
    );
    return { ...tested, ...(await shown(new URL(path, tested.gateway.adminUrl).href)) };
  }

  async function shown(address: string) {
    const context = await browser.newContext();
    onTestFinished(() => context.close());
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    await page.goto(address);
    return { page, complaints };
  }

  test("shows tasks as they come and go, whose names stay text, and cancels one when it is told twice", async () => {
    const { page, user, complaints, server } = await opened();
    await page.getByText("no tasks", { exact: true }).waitFor();
    const hostile = await user.callTool(
      HOSTILE,
      {},
      { headers: { "mcp-name": `=?base64?${btoa(HOSTILE)}?=` } },
    );
    const name = taskName(hostile.taskId);
    await page.getByRole("cell", { name: HOSTILE, exact: true }).waitFor();
    expect(await page.title()).toBe("mcp-taskgate");
    expect(await page.locator("img").count()).toBe(0);

    await page.getByRole("button", { name }).click();
    await page.getByRole("heading", { name: `Task ${name}` }).waitFor();
    await page.getByRole("button", { name: "Cancel this task…" }).click();
    await page.getByRole("button", { name: "Let it run" }).click();
    expect(server.received.filter(({ method }) => method === "notifications/cancelled")).toEqual([]);
    await page.getByRole("button", { name: "Cancel this task…" }).click();
    await page.getByRole("button", { name: "Cancel the task" }).click();
    await page.getByRole("cell", { name: "cancelled", exact: true }).waitFor();
    await server.arrival("notifications/cancelled");
    await page.getByRole("definition").getByText("Cancelled by the operator").waitFor();
    expect(complaints).toEqual([]);
  });

  test("has its filters in the address, and what it shows is what a reload shows", async () => {
    const { page, user, complaints } = await opened();
    const quick = await user.callTool("quick");
    await user.settled(quick.taskId);
    const slow = await user.callTool("slow");
    const names = [quick, slow].map(({ taskId }) => taskName(taskId)) as [string, string];
    await page.getByRole("button", { name: names[1] }).waitFor();
    await page.getByLabel("Status").selectOption("completed");
    await page.getByRole("button", { name: names[1] }).waitFor({ state: "detached" });
    await page.getByRole("button", { name: names[0] }).click();
    await page.getByRole("heading", { name: `Task ${names[0]}` }).waitFor();
    expect(new URL(page.url()).search).toBe(`?status=completed&task=${names[0]}`);
    await page.reload();
    await page.getByRole("heading", { name: `Task ${names[0]}` }).waitFor();
    expect(await page.getByRole("button", { name: names[1] }).count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  test("shows the last of a thousand tasks, keeps up while they come, and asks no more often for that", async () => {
    const { page, user } = await opened();
    let asked = 0;
    page.on("request", (request) => {
      if (new URL(request.url()).pathname === "/api/tasks") asked += 1;
    });
    const rows = page.getByRole("row").filter({ hasText: "quick" });
    for (let n = 0; n < 50; n += 1)
      await Promise.all(Array.from({ length: 20 }, () => user.callTool("quick")));
    await page.getByText("completed, of the last 100").waitFor();
    expect(await rows.count()).toBe(100);
    await page.getByRole("button", { name: "Show up to 500" }).click();
    await page.getByText("500 completed, of the last 500").waitFor();
    expect(await rows.count()).toBe(500);
    const { taskId } = await user.callTool("last");
    await page
      .getByRole("row")
      .nth(1)
      .getByRole("button", { name: taskName(taskId) })
      .waitFor();
    const tool = page.getByRole("textbox", { name: "Tool" });
    await tool.fill("last");
    await tool.press("Enter");
    await page.getByText("1 working, 1000 completed", { exact: true }).waitFor();
    // Three thousand events have come of them.
    expect(asked).toBeLessThan(100);
  });

  test("draws what became of the calls, and says which rules they suggest", async () => {
    const { page, user, gateway, complaints } = await opened();
    for (let n = 0; n < 10; n += 1) await user.settled((await user.callTool("quick")).taskId);
    const listed = async () =>
      (await (await fetch(new URL("/api/stats", gateway.adminUrl))).json()) as {
        samples: { tasks: { completed: number } }[];
      };
    const completed = async () =>
      (await listed()).samples.reduce((all, { tasks }) => all + tasks.completed, 0);
    await expect.poll(completed).toBe(10);
    await page.reload();
    await page.getByRole("img", { name: /^Calls: 10, at most \d+ in 10 s$/ }).waitFor();
    await page
      .getByRole("img", { name: /^How long they took: last p50 .* ms, p95 .*; p95 at most / })
      .waitFor();
    await page
      .getByRole("img", { name: "How they ended: 10 well, 0 badly, 0 given up, 0 refused" })
      .waitFor();
    const points = await page.locator("polyline.well").getAttribute("points");
    expect(points?.split(" ")).toHaveLength(90);
    const suggested = page.getByRole("region", { name: "Suggested rules" });
    await suggested
      .getByRole("row")
      .filter({ hasText: "_other" })
      .filter({ hasText: "not listed" })
      .waitFor();
    await page.getByLabel("Rules for the configuration file").getByText("no rule to suggest").waitFor();
    const lastDay = page.waitForRequest((request) => request.url().endsWith("/api/suggestions?hours=24"));
    await page.getByRole("combobox", { name: "Calls" }).selectOption("24");
    await lastDay;
    expect(complaints).toEqual([]);
  });

  test("asks for nothing while nobody looks", async () => {
    const { page, gateway } = await opened({}, "/health/live");
    await page.clock.install();
    const asked: string[] = [];
    page.on("request", (request) => asked.push(new URL(request.url()).pathname));
    await page.goto(gateway.adminUrl ?? "");
    await page.getByRole("img", { name: /^Calls: 0/ }).waitFor();
    const show = (isHidden: boolean) =>
      page.evaluate(`
        Object.defineProperty(document, "hidden", { value: ${isHidden}, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      `);
    await show(true);
    asked.length = 0;
    await page.clock.fastForward("10:00");
    expect(asked.filter((path) => path !== "/api/events")).toEqual([]);
    await show(false);
    await page.clock.fastForward("00:01");
    for (const path of ["/api/tasks", "/api/stats", "/api/suggestions"])
      await expect.poll(() => asked).toContain(path);
  });

  test("asks for the token, and takes no wrong one", async () => {
    const { page, user } = await opened({ admin: { token: TOKEN } });
    const field = page.getByLabel("Token");
    await field.fill("wrong");
    await page.getByRole("button", { name: "Show" }).click();
    await page.getByText("The token is neither").waitFor();
    await field.fill(TOKEN);
    await page.getByRole("button", { name: "Show" }).click();
    const { taskId } = await user.callTool("slow");
    await page.getByRole("button", { name: taskName(taskId) }).waitFor();
  });

  test("keeps what it had, and says so, when the gateway has gone", async () => {
    const { page, user, gateway } = await opened();
    const { taskId } = await user.callTool("quick");
    await user.settled(taskId);
    await page.getByRole("button", { name: taskName(taskId) }).waitFor();
    await gateway.close();
    await page.getByText("This is how it was").waitFor();
    expect(await page.getByRole("button", { name: taskName(taskId) }).count()).toBe(1);
  });

  test("says why a task failed, and where to see what the server said", async () => {
    const { user, gateway } = await story(
      { "tools/call": (call) => call.error(-32_000, "said by the server") },
      { admin: true, policy: { mode: "always" } },
    );
    const { taskId } = await user.callTool("fails");
    await user.settled(taskId);
    const { page } = await shown(gateway.adminUrl ?? "");
    await page.setViewportSize({ width: 1_280, height: 300 });
    await page.getByRole("button", { name: taskName(taskId) }).click();
    await page.getByText("error -32000 of the server", { exact: true }).waitFor();
    await page.getByText("What server and client said is shown with admin.payloads: true.").waitFor();
    expect(await page.getByText("said by the server").count()).toBe(0);
    // The panel is higher than the window: its top is there, where it was below the middle.
    const top = 'document.querySelector(".panel").getBoundingClientRect().top';
    await expect.poll(() => page.evaluate(top)).toBeLessThan(100);
  });

  test("shows who was refused, and by which limit", async () => {
    const { page, user, complaints } = await opened({
      limits: { ...resolveLimits(), total: { ...resolveLimits().total, tasks: 1 } },
    });
    await user.callTool("slow");
    const { message } = await user.send("tools/call", { name: "slow", arguments: {} });
    expect(message.error.data.limit).toBe("limits.total.tasks");
    await page.getByRole("cell", { name: "limits.total.tasks" }).waitFor();
    await page.getByRole("heading", { name: "Refused in the last hour" }).waitFor();
    expect(await violations(page)).toEqual([]);
    expect(complaints).toEqual([]);
  });

  test("shows which server is slow", async () => {
    const { page, user, complaints } = await opened();
    const { taskId } = await user.callTool("quick");
    await user.settled(taskId);
    await user.callTool("slow");
    await page.getByRole("columnheader", { name: "p95, last hour" }).waitFor();
    await page.getByRole("row", { name: /^tested up .* asking \d\S* m?s \d\S* m?s http/ }).waitFor();
    expect(complaints).toEqual([]);
  });

  test("shows which webhooks take no events, and has them told again", async () => {
    const receiver = await startReceiver();
    receiver.take = answering(500);
    const { page, user, complaints } = await opened({ webhooks: [receiver.webhook({ attempts: 1 })] });
    await user.callTool("quick");
    await page.getByRole("cell", { name: "1 in a row failed: it answered 500" }).waitFor();
    receiver.take = answering(204);
    await page.getByRole("button", { name: "Deliver to receiver again" }).click();
    await receiver.until(() => receiver.received.length === 2);
    await page.getByRole("button", { name: "Deliver to receiver again" }).waitFor({ state: "detached" });
    expect(await violations(page)).toEqual([]);
    expect(complaints).toEqual([]);
  });

  test("says what became of the configuration file", async () => {
    const { settings } = await named("one");
    const { admin, file, write, reload } = await reloading({ reload: "off", servers: { one: settings } });
    const context = await browser.newContext();
    onTestFinished(() => context.close());
    const page = await context.newPage();
    await page.goto(admin);
    await page.getByRole("cell", { name: "one", exact: true }).waitFor();
    expect(await page.getByText("The configuration file").count()).toBe(0);
    await writeFile(file, "servers: {}");
    await reload();
    await page
      .getByRole("alert")
      .getByText(/, has an error, and nothing of it is applied: servers: must name at least one server/)
      .waitFor();
    await write({ reload: "off", limits: { maxWait: "1s" }, servers: { one: settings, two: settings } });
    await reload();
    await page
      .getByText(/, and is in force\. Servers added: two\. A restart is needed for limits\.maxWait\.$/)
      .waitFor();
    expect(await page.getByRole("alert").count()).toBe(0);
    expect(await violations(page)).toEqual([]);
  });

  test.each([
    ["light", 1_280],
    ["dark", 1_280],
    ["light", 360],
  ] as const)("can be read by everybody, in %s colours and %d pixels", async (colorScheme, width) => {
    const { page, user } = await opened();
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 800 });
    const { taskId } = await user.callTool("slow");
    await page.getByRole("button", { name: taskName(taskId) }).click();
    await page.getByRole("heading", { name: `Task ${taskName(taskId)}` }).waitFor();
    expect(await violations(page)).toEqual([]);
    const root = "document.documentElement";
    expect(await page.evaluate(`${root}.scrollWidth > ${root}.clientWidth`)).toBe(false);
  });

  /** With `SCREENSHOTS=1` it works for some minutes, so that there is something to see, and its pictures go into the manual. */
  test.each(["light", "dark"] as const)("shows a gateway at work, in %s colours", async (colorScheme) => {
    const isKept = process.env.SCREENSHOTS === "1";
    const { gateway, work } = await atWork();
    const until = performance.now() + (isKept ? WORK_MS : 0);
    do await work();
    while (performance.now() < until);
    const { page, complaints } = await shown(gateway.adminUrl ?? "");
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width: 1_000, height: 600 });
    await page
      .getByLabel("Rules for the configuration file")
      .getByText("{ match: render_*, mode: always }")
      .waitFor();
    for (const status of ["working", "input_required", "tool_error"])
      await page.getByRole("cell", { name: status, exact: true }).first().waitFor();
    const picture = { path: `${DOCS}/console-${colorScheme}.png`, fullPage: colorScheme === "light" };
    if (isKept) await page.screenshot(picture);
    expect(await violations(page)).toEqual([]);
    expect(complaints).toEqual([]);
  });

  test("lets nothing in from anywhere else", async () => {
    const { gateway } = await opened();
    for (const path of ["/", "/console.js", "/charts.js", "/api.js", "/htm.js", "/console.css"]) {
      const { status, headers } = await fetch(new URL(path, gateway.adminUrl));
      expect(status).toBe(200);
      expect(headers.get("content-security-policy")).toMatch(
        /^default-src 'none'; .*require-trusted-types-for 'script'; trusted-types 'none'$/,
      );
    }
  });
});

/** A gateway with a task of each kind, and what goes on there meanwhile. */
async function atWork() {
  const { opened, open } = gate();
  onTestFinished(() => open());
  const names = ["render_video", "render_page", "search", "export", "tidy"];
  const tested = await story(
    {
      "tools/call": async (call) => {
        const name = String(call.message.params?.name);
        if (name === "export") return asksOnce(call);
        if (name === "tidy") return call.json({ ...textResult("There is no room"), isError: true });
        if (name === "search") await sleep(400 * Math.random() ** 3);
        else await Promise.race([opened, call.cancelled]);
        return call.json(textResult("done"));
      },
    },
    {
      admin: true,
      policy: { mode: "auto", waitForMs: 60_000, maxRuntimeMs: 3_600_000 },
      tools: [
        { match: "{export,tidy}", mode: "always" },
        { match: "render_*", waitForMs: 0 },
      ],
    },
    { tools: names.map((name) => ({ name, inputSchema: { type: "object" } })) },
  );
  const { user, server } = tested;
  const plain = tested.client({ capabilities: INPUT });
  await plain.callTool("search");
  for (const name of ["tidy", "export", "render_video", "render_page"]) {
    const { taskId } = await user.callTool(name);
    await user.taskWhen(taskId, ({ status }) => status !== "working" || name.startsWith("render"));
  }
  const work = async () => {
    const before = count(server, "tools/call");
    const impatient = names.slice(0, 2).flatMap((name) =>
      Array.from({ length: 10 }, () => {
        const leaving = new AbortController();
        const left = plain.callTool(name, {}, { signal: leaving.signal }).catch(() => undefined);
        return { leave: () => leaving.abort(), left };
      }),
    );
    await server.until(() => count(server, "tools/call") >= before + impatient.length, "the calls");
    await Promise.all(Array.from({ length: 1 + 20 * Math.random() }, () => plain.callTool("search")));
    for (const { leave } of impatient) leave();
    await Promise.all(impatient.map(({ left }) => left));
  };
  return { ...tested, work };
}

/** What axe-core finds wrong, by rule. It gets into the page as the tools of the browser do, which the page's policy does not concern. */
async function violations(page: Page): Promise<readonly string[]> {
  await page.evaluate(AXE);
  const found = await page.evaluate("axe.run()");
  return (found as { violations: { id: string }[] }).violations.map(({ id }) => id);
}
