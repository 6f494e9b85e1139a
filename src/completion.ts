import { setTimeout as sleep } from "node:timers/promises";
import type { ServerStatus } from "./admin/status.ts";
import { STATUSES } from "./admin/task-summary.ts";
import type { TaskListing } from "./admin/tasks.ts";
import { serveFlags } from "./config/flags.ts";
import { loadSource } from "./config/load.ts";
import { serverNames } from "./config/problems.ts";
import { CHOICES } from "./config/schema.ts";
import { ApiClient, addressIn } from "./operator/api-client.ts";
import { ADMIN_TOKEN, ADMIN_URL } from "./operator/flags.ts";
import { CLIENTS } from "./retrofit/clients.ts";

type Environment = Readonly<Record<string, string | undefined>>;
export type Values = () => readonly string[] | Promise<readonly string[]>;

/** The flags that take no value. */
const SWITCHES = ["json", "all", "dry-run", "yes", "force", "quiet", "verbose", "audit"].map(
  (name) => `--${name}`,
);
/** What can follow a command. */
const ACTIONS: Readonly<Record<string, readonly string[]>> = {
  tasks: ["list", "show", "watch", "cancel"],
  webhooks: ["list", "undelivered", "redeliver", "test"],
  store: ["check", "repair", "export", "import"],
  schema: ["config", "webhooks"],
  completion: ["bash", "zsh"],
};
/** How long a gateway may take to say what it has: somebody waits for the next letter. */
const PATIENCE_MS = 1_000;
const TASKS = 50;
/** What only the shell knows: files. */
const FILES: Values = () => [];

/**
 * What can stand in place of the last of the words. `undefined`: the names of commands and flags, which yargs knows. Nothing: files.
 * @param words behind the name of this program; the last is the one to be completed, which may be empty
 */
export function valuesAt(words: readonly string[], env: Environment): Values | undefined {
  const [current = "", before = ""] = words.toReversed();
  const [verb = ""] = words;
  if (words.slice(0, -1).includes("--")) return FILES;
  if (before.startsWith("--")) return valuesOf(before, words, env);
  if (current.startsWith("-")) return verb === current ? ownFlags : undefined;
  const isValue = (at: number) => words[at - 1]?.startsWith("--") && !SWITCHES.includes(words[at - 1] ?? "");
  const [, action, ...names] = words.filter((word, at) => !word.startsWith("-") && !isValue(at));
  if (verb === "check" || verb === "import") return FILES;
  const actions = ACTIONS[verb];
  if (actions !== undefined && names.length === 0) return () => actions;
  if (verb === "store") return FILES;
  if (verb === "tasks" && (action === "show" || action === "cancel"))
    return () => taskNames(action, words, env);
  return verb === "webhooks" && action !== "list" ? () => webhookNames(words, env) : undefined;
}

/** Of a flag. `undefined`: any text, or none, because it takes none. */
function valuesOf(flag: string, words: readonly string[], env: Environment): Values | undefined {
  const [verb] = words;
  switch (flag) {
    case "--mode":
      return () => CHOICES.mode;
    case "--log":
      return () => CHOICES.log;
    case "--client":
      return () => CLIENTS.filter(({ instead }) => instead === undefined).map(({ name }) => name);
    case "--status":
      return () => STATUSES;
    case "--server":
      return verb === "stdio" ? () => serversOfFile(words) : () => serversOfGateway(words, env);
    case "--config":
    case "--cwd":
    case "--store":
      return FILES;
    default:
      return undefined;
  }
}

/** The flags of `serve`, which needs no verb. */
const ownFlags: Values = () => [...Object.keys(serveFlags), "help", "version"].map((name) => `--${name}`);

async function serversOfFile(words: readonly string[]): Promise<readonly string[]> {
  const file = given("--config", words) ?? words.find((word) => /\.(ya?ml|json)$/i.test(word));
  return file === undefined ? [] : serverNames((await loadSource(file)).document);
}

async function serversOfGateway(words: readonly string[], env: Environment): Promise<readonly string[]> {
  const { servers } = (await asked("servers", words, env)) as { servers: readonly ServerStatus[] };
  return servers.map(({ name }) => name);
}

/** To be cancelled: those that have not ended. */
async function taskNames(
  action: "show" | "cancel",
  words: readonly string[],
  env: Environment,
): Promise<readonly string[]> {
  const { tasks } = (await asked(`tasks?limit=${TASKS}`, words, env)) as TaskListing;
  const wanted = tasks.filter(({ endedAt }) => action === "show" || endedAt === undefined);
  return wanted.map(({ name }) => name);
}

async function webhookNames(words: readonly string[], env: Environment): Promise<readonly string[]> {
  const { webhooks } = (await asked("webhooks", words, env)) as { webhooks: readonly { name: string }[] };
  return webhooks.map(({ name }) => name);
}

async function asked(path: string, words: readonly string[], env: Environment): Promise<unknown> {
  const base = addressIn(given("--admin", words) ?? env[ADMIN_URL] ?? "");
  if (base === undefined) throw new Error("no gateway is named");
  const client = new ApiClient(base, env[given("--token-from", words) ?? ADMIN_TOKEN]);
  const late = sleep(PATIENCE_MS, undefined, { ref: false }).then(() => {
    throw new Error("the gateway takes too long");
  });
  return Promise.race([client.get(path), late]);
}

function given(flag: string, words: readonly string[]): string | undefined {
  const at = words.indexOf(flag);
  return at === -1 ? undefined : words[at + 1];
}
