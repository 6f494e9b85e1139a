import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { taskName } from "../../src/log/task-name.ts";
import { named, reloading } from "../reload/reloading.ts";
import { withoutPrograms } from "../support/required-programs.ts";
import { gate, type StorySettings, story, textResult } from "../support/story.ts";

const HOSTILE = "<img src=x onerror=\"document.title='hit'\">";
const TOKEN = "an-admin-token-of-the-tests";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
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
    const context = await browser.newContext();
    onTestFinished(() => context.close());
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    await page.goto(new URL(path, tested.gateway.adminUrl).href);
    return { ...tested, page, complaints };
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

  test("shows the last hundred of many tasks, and more when asked to", async () => {
    const { page, user } = await opened();
    for (let n = 0; n < 15; n += 1)
      await Promise.all(Array.from({ length: 10 }, () => user.callTool("quick")));
    const rows = page.getByRole("row").filter({ hasText: "quick" });
    await expect.poll(() => rows.count()).toBe(100);
    await page.getByRole("button", { name: "Show up to 500" }).click();
    await expect.poll(() => rows.count()).toBe(150);
    await page.getByText("150 completed", { exact: true }).waitFor();
  });

  test("asks once for a task that has gone, whatever happens to others", async () => {
    const { page, user } = await opened({}, "/?task=0123456789ab");
    await page.getByText("There is no task 0123456789ab").waitFor();
    const shownTask = async () => {
      const { taskId } = await user.callTool("quick");
      await page.getByRole("button", { name: taskName(taskId) }).waitFor();
    };
    await shownTask();
    const asked: string[] = [];
    page.on("request", (request) => asked.push(new URL(request.url()).pathname));
    await shownTask();
    await shownTask();
    expect(asked.filter((path) => path.startsWith("/api/tasks/"))).toEqual([]);
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
    await page.getByText(/, and is in force\. A restart is needed for limits\.maxWait\.$/).waitFor();
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

  test("lets nothing in from anywhere else", async () => {
    const { gateway } = await opened();
    for (const path of ["/", "/console.js", "/api.js", "/htm.js", "/console.css"]) {
      const { status, headers } = await fetch(new URL(path, gateway.adminUrl));
      expect(status).toBe(200);
      expect(headers.get("content-security-policy")).toMatch(
        /^default-src 'none'; .*require-trusted-types-for 'script'; trusted-types 'none'$/,
      );
    }
  });
});

/** What axe-core finds wrong, by rule. It gets into the page as the tools of the browser do, which the page's policy does not concern. */
async function violations(page: Page): Promise<readonly string[]> {
  await page.evaluate(AXE);
  const found = await page.evaluate("axe.run()");
  return (found as { violations: { id: string }[] }).violations.map(({ id }) => id);
}
