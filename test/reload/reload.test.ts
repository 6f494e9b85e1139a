/** A gateway that takes over another configuration while clients use it. */

import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/server/validators/ajv";
import { expect, onTestFinished, test } from "vitest";
import { openApi } from "../../src/http/admin/open-api.ts";
import { run } from "../cli/process.ts";
import type { Json } from "../support/modern-client.ts";
import { textOf } from "../support/story.ts";
import { fileText, named, reloading, type Settings } from "./reloading.ts";

const TOKEN = "an-admin-token-of-the-tests";
const READ_TOKEN = "a-token-that-only-reads";
const ALWAYS = { mode: "always", pollInterval: "20ms" };

/** The ways in which editors and orchestrators change a file. */
const WAYS: Readonly<Record<string, (file: string, text: string) => Promise<void>>> = {
  "is written in place": (file, text) => writeFile(file, text),
  "is replaced by a new one": async (file, text) => {
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
  },
  "is in a ConfigMap that changes": async (file, text) => {
    await mount(dirname(file), "second", text);
  },
};

/** For tests that ask for the reload: a gateway that watches its file may have taken it over before. */
const UNWATCHED = { reload: "off" };

/** As the kubelet does it: a folder with the files, a link to it that is replaced at once, and links to the files through that. */
async function mount(folder: string, version: string, text: string): Promise<void> {
  await mkdir(join(folder, `..${version}`), { recursive: true });
  await writeFile(join(folder, `..${version}`, "taskgate.yaml"), text);
  await symlink(`..${version}`, join(folder, "..data_tmp"));
  await rename(join(folder, "..data_tmp"), join(folder, "..data"));
}

async function mounted(settings: Settings): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "taskgate-configmap-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await mount(folder, "first", fileText(settings));
  const file = join(folder, "taskgate.yaml");
  await symlink("..data/taskgate.yaml", file);
  return file;
}

test.each(Object.entries(WAYS))("a server is added when the file %s", async (_, change) => {
  const [first, second] = await Promise.all([named("first"), named("second")]);
  const before = { servers: { first: first.settings } };
  const { user, file, reloaded, ask } = await reloading(before, { file: await mounted(before) });
  expect((await user("second").send("tools/list")).status).toBe(404);
  expect(textOf(await user("first").callTool("any"))).toBe("first");
  const sessions = [...first.server.sessions.keys()];

  await change(file, fileText({ servers: { ...before.servers, second: second.settings } }));
  expect(await reloaded(({ outcome }) => outcome === "applied")).toMatchObject({
    added: ["second"],
    removed: [],
    replaced: [],
    ruled: [],
    limits: [],
    restart: [],
  });
  expect(textOf(await user("second").callTool("any"))).toBe("second");
  expect(textOf(await user("first").callTool("any"))).toBe("first");
  expect([...first.server.sessions.keys()]).toEqual(sessions);
  expect((await ask("/api/servers")).body.servers.map(({ name }: Json) => name)).toEqual(["first", "second"]);
});

test("a removed server ends its calls, answers for its tasks, and begins nothing", async () => {
  const [stays, goes] = await Promise.all([named("stays"), named("goes")]);
  const settings = { stays: stays.settings, goes: { ...goes.settings, tasks: ALWAYS } };
  const { user, write, reload, scraped } = await reloading({ ...UNWATCHED, servers: settings });
  const client = user("goes");
  const [kept, ended] = [await client.callTool("slow"), await client.callTool("slow")];
  await client.taskWhen(kept.taskId, ({ status }) => status === "working");
  await goes.server.arrival("tools/call", 2);

  await write({ ...UNWATCHED, servers: { stays: stays.settings } });
  expect((await reload()).body).toMatchObject({ outcome: "applied", removed: ["goes"] });
  const refused = await client.send("tools/call", { name: "any", arguments: {} });
  expect([refused.status, refused.message.error.message]).toEqual([
    410,
    'The server "goes" has been removed from the gateway\'s configuration; its tasks can still be read and cancelled',
  ]);
  expect(await client.task(kept.taskId)).toMatchObject({ status: "working" });
  await client.result("tasks/cancel", { taskId: ended.taskId });
  expect(await client.task(ended.taskId)).toMatchObject({ status: "cancelled" });
  goes.finish();
  expect(textOf((await client.settled(kept.taskId)).result)).toBe("goes");

  await goes.server.until(() => goes.server.sessions.size === 0, "its sessions to be ended");
  await goes.server.until(() => goes.server.pending === 0, "nothing of it to be open");
  expect(textOf((await client.settled(kept.taskId)).result)).toBe("goes");
  expect(await client.send("tools/list")).toMatchObject({ status: 410 });
  expect(await client.send("tasks/get", { taskId: "none" })).toMatchObject({
    message: { error: { code: -32602 } },
  });
  expect(textOf(await user("stays").callTool("any"))).toBe("stays");
  expect((await scraped("taskgate_")).filter((line) => line.includes('server="goes"'))).toEqual([]);

  await write({ ...UNWATCHED, servers: settings });
  expect((await reload()).body).toMatchObject({ outcome: "applied", added: ["goes"] });
  expect(await client.task(kept.taskId)).toMatchObject({ status: "completed" });
  expect(await client.callTool("any")).toMatchObject({ resultType: "task" });
});

test("a changed server has new sessions for new calls, and the old ones end with their calls", async () => {
  const [before, after] = await Promise.all([named("before"), named("after")]);
  const at = ({ settings }: typeof before) => ({
    ...UNWATCHED,
    servers: { it: { ...settings, tasks: ALWAYS } },
  });
  const { user, write, reload } = await reloading(at(before));
  const client = user("it");
  const { taskId } = await client.callTool("slow");
  await before.server.arrival("tools/call");

  await write(at(after));
  expect((await reload()).body).toMatchObject({ outcome: "applied", replaced: ["it"] });
  const next = await client.callTool("any");
  expect(textOf((await client.settled(next.taskId)).result)).toBe("after");
  expect(await client.task(taskId)).toMatchObject({ status: "working" });
  before.finish();
  expect(textOf((await client.settled(taskId)).result)).toBe("before");
  await before.server.until(() => before.server.sessions.size === 0, "its sessions to be ended");
  await before.server.until(() => before.server.pending === 0, "nothing of it to be open");
});

test("a rule for a tool holds from the next call on, in the same sessions, and listeners hear of it", async () => {
  const one = await named("one", { capabilities: { tools: { listChanged: true } } });
  const under = (tools: object) => ({ ...UNWATCHED, servers: { one: { ...one.settings, tools } } });
  const { user, write, reload } = await reloading(under([{ match: "any", mode: "always" }]));
  const client = user("one");
  const over = new AbortController();
  const heard = client.stream(
    "subscriptions/listen",
    { notifications: { toolsListChanged: true } },
    { signal: over.signal },
  );
  expect(await heard.next()).toMatchObject({
    value: { params: { notifications: { toolsListChanged: true } } },
  });
  const task = await client.callTool("any");
  expect(task).toMatchObject({ resultType: "task" });
  await client.settled(task.taskId);
  const sessions = new Set(one.server.sessions.keys());

  await write(under([{ match: "any", mode: "never" }]));
  expect((await reload()).body).toMatchObject({ outcome: "applied", ruled: ["one"] });
  expect(textOf(await client.callTool("any"))).toBe("one");
  expect(new Set(one.server.sessions.keys())).toEqual(sessions);
  expect(await heard.next()).toMatchObject({ value: { method: "notifications/tools/list_changed" } });
  over.abort();
});

test("a limit holds from the next request on", async () => {
  const one = await named("one");
  const limited = (limits: object) => ({ ...UNWATCHED, limits, servers: { one: one.settings } });
  const { user, write, reload, gateway } = await reloading(limited({}));
  const long = { long: "x".repeat(100_000) };
  expect(textOf(await user("one").callTool("any", long))).toBe("one");
  await write(limited({ maxBody: "64kb", perCaller: { calls: "7/s" }, perRoute: { calls: "50/s" } }));
  const limits = ["limits.maxBody", "limits.perCaller.calls", "limits.perRoute.calls"];
  expect((await reload()).body).toMatchObject({ outcome: "applied", limits });
  await gateway.said(`"limits":${JSON.stringify(limits)}`);
  expect((await user("one").send("tools/call", { name: "any", arguments: long })).status).toBe(413);
});

test("a file with an error changes nothing, and everybody can see that", async () => {
  const one = await named("one");
  const { user, file, gateway, admin, reload, reloaded, scraped } = await reloading({
    servers: { one: one.settings },
  });
  expect(await scraped("taskgate_config_last_reload_successful")).toEqual([
    "taskgate_config_last_reload_successful 1",
  ]);
  const good = await readFile(file, "utf8");
  await writeFile(file, `limits: { maxBody: much }\nservers: ${JSON.stringify({ other: one.settings })}\n`);
  const said =
    'the configuration file has an error, and nothing of it is applied: limits.maxBody: must be a size with a unit such as \\"64kb\\" or \\"32mb\\", got \\"much\\" (line 1)';
  await gateway.said(said);
  expect(await reloaded(({ outcome }) => outcome === "refused")).toMatchObject({
    problems: [expect.stringMatching(/^limits\.maxBody: must be a size/)],
  });
  expect(textOf(await user("one").callTool("any"))).toBe("one");
  expect(await reload()).toMatchObject({
    status: 422,
    headers: { "content-type": "application/problem+json" },
    body: { title: "Configuration refused", detail: expect.stringMatching(/^limits\.maxBody: must be/) },
  });
  expect(await scraped("taskgate_config_last_reload_successful")).toEqual([
    "taskgate_config_last_reload_successful 0",
  ]);
  expect(await scraped('taskgate_config_reloads_total{outcome="refused"}')).not.toEqual([
    'taskgate_config_reloads_total{outcome="refused"} 0',
  ]);

  await rm(file);
  expect(await reload()).toMatchObject({
    status: 422,
    body: { detail: expect.stringMatching(/^cannot be read: ENOENT/) },
  });
  await writeFile(file, good);
  await reloaded(({ outcome }) => outcome === "unchanged");
  await gateway.said("the configuration file has no error any more, and nothing new");
  const { stdout } = await run(["servers", "--admin", admin], {});
  expect(stdout).toMatch(
    /^the configuration file was read at \S+: it has no error, and nothing new that can be applied$/m,
  );
  expect(await scraped("taskgate_config_last_reload_successful")).toEqual([
    "taskgate_config_last_reload_successful 1",
  ]);
});

test("what needs a restart is named, and the rest is applied", async () => {
  const [one, two] = await Promise.all([named("one"), named("two")]);
  const { user, write, gateway, reload } = await reloading({ ...UNWATCHED, servers: { one: one.settings } });
  await write({
    ...UNWATCHED,
    store: { url: "memory:", lease: "20s" },
    listen: { port: 0, allowedOrigins: ["https://app.example"] },
    callers: { identify: "anonymous" },
    limits: { maxDepth: 50 },
    servers: { one: one.settings, two: two.settings },
  });
  const restart = ["listen.allowedOrigins", "store.lease", "limits.maxDepth", "callers"];
  const applied = (await reload()).body;
  expect(applied).toMatchObject({ outcome: "applied", added: ["two"], restart });
  const { components } = openApi("1") as Json;
  const documented = new AjvJsonSchemaValidator().getValidator(components.schemas.Reload);
  expect(documented(applied)).toMatchObject({ valid: true });
  expect(textOf(await user("two").callTool("any"))).toBe("two");
  for (const setting of restart)
    await gateway.said(`"setting":"${setting}","msg":"is different now; restart the gateway to use it"`);
  expect((await reload()).body).toEqual({ outcome: "unchanged", restart });
});

test("an operator has the file taken over, and is told what changed or is wrong", async () => {
  const [one, two] = await Promise.all([named("one"), named("two")]);
  const settings = { ...UNWATCHED, servers: { one: one.settings } };
  const { user, write, file, admin } = await reloading(settings);
  const command = (...args: string[]) => run(["reload", "--admin", admin, ...args]);
  expect(await command()).toEqual({
    code: 0,
    stdout: "the configuration file: it has no error, and nothing new that can be applied\n",
    stderr: "",
  });

  await write({
    ...settings,
    limits: { maxBody: "1mb", maxDepth: 50 },
    servers: { ...settings.servers, two: two.settings },
  });
  expect((await command()).stdout).toBe(
    "the configuration file: it is in force; added: two; limits: limits.maxBody; a restart is needed for: limits.maxDepth\n",
  );
  expect(textOf(await user("two").callTool("any"))).toBe("two");
  expect(JSON.parse((await command("--json")).stdout)).toEqual({
    outcome: "unchanged",
    restart: ["limits.maxDepth"],
  });

  await writeFile(file, "servers: {}\n");
  expect(await command()).toEqual({
    code: 1,
    stdout: "",
    stderr: expect.stringMatching(/^error: servers: /),
  });
});

test("SIGHUP reads a file that is watched, and SIGTERM still ends the gateway", async () => {
  const [one, two] = await Promise.all([named("one"), named("two")]);
  const { file, gateway, scraped, reloaded } = await reloading({ servers: { one: one.settings } });
  gateway.signal("SIGHUP");
  expect(await reloaded(() => true)).toEqual({ at: expect.any(String), outcome: "unchanged", restart: [] });
  await writeFile(file, fileText({ servers: { one: one.settings, two: two.settings } }));
  gateway.signal("SIGHUP");
  expect(await reloaded(({ outcome }) => outcome === "applied")).toMatchObject({ added: ["two"] });
  expect(await scraped('taskgate_config_reloads_total{outcome="applied"}')).toEqual([
    'taskgate_config_reloads_total{outcome="applied"} 1',
  ]);
  gateway.signal("SIGTERM");
  expect((await gateway.finished).code).toBe(0);
});

test("SIGHUP ends a gateway whose file is not watched", async () => {
  const one = await named("one");
  const { gateway } = await reloading({ ...UNWATCHED, servers: { one: one.settings } });
  gateway.signal("SIGHUP");
  expect((await gateway.finished).code).toBe(0);
});

test("who may cancel may reload, and nobody by GET", async () => {
  const one = await named("one");
  const admin = { port: 0, token: TOKEN, readToken: READ_TOKEN };
  const { ask } = await reloading({ ...UNWATCHED, admin, servers: { one: one.settings } });
  const bearing = (token: string, method: "GET" | "POST" = "POST") =>
    ask("/api/reload", { method, headers: { authorization: `Bearer ${token}` } });
  expect(await ask("/api/reload", { method: "POST" })).toMatchObject({ status: 401 });
  expect(await bearing(READ_TOKEN)).toMatchObject({ status: 403, body: { title: "Not allowed" } });
  expect(await bearing(TOKEN, "GET")).toMatchObject({ status: 405, headers: { allow: "POST" } });
  expect(await bearing(TOKEN)).toMatchObject({ status: 200, body: { outcome: "unchanged", restart: [] } });
});
