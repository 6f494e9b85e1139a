import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { toJson } from "../../src/protocol/jsonrpc.ts";
import { openStore } from "../../src/store/open.ts";
import { newTask } from "../store/samples.ts";
import { Conditions } from "../support/conditions.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { lastingPort } from "./support/ports.ts";
import type { Race, Report } from "./support/racer.ts";
import { type Random, seeded } from "./support/seeded.ts";
import { IS_FULL } from "./support/stage.ts";

const RACERS = ["Ada", "Grace", "Mary"];
const TASKS = IS_FULL ? 3_000 : 600;
const AT_ONCE = 50;
const PATIENCE_MS = 240_000;

test.skipIf(withoutRedis("the race over Redis")).for([{ kills: 0 }, { kills: 2 }])(
  `three processes end the same ${TASKS} tasks, and everybody is told the same (kills of their Redis meanwhile: $kills)`,
  { timeout: PATIENCE_MS },
  async ({ kills }) => {
    const random = seeded(`race with ${kills} kills`);
    const redis = await redisForTest({ port: await lastingPort() });
    const store = await openStore(redis.url);
    onTestFinished(() => store.close());
    const taskIds: string[] = [];
    // As many at a time as a slow machine writes before the store's deadline.
    while (taskIds.length < TASKS)
      taskIds.push(
        ...(await Promise.all(
          Array.from({ length: AT_ONCE }, async () => (await store.create(newTask())).id),
        )),
      );
    const racers = await Promise.all(RACERS.map((name) => Racer.start(name, redis.url)));

    for (const racer of racers) racer.go(taskIds, random);
    for (let kill = 1; kill <= kills; kill += 1) {
      await racers[0]?.ended((TASKS * kill) / (kills + 2));
      await redis.kill();
      await redis.restart();
    }
    const told = await Promise.all(racers.map((racer) => racer.told()));

    const [first = {}, ...others] = told.map(({ outcomes }) => outcomes);
    expect(Object.keys(first)).toHaveLength(TASKS);
    const conflicts = taskIds.filter((id) => others.some((outcomes) => outcomes[id] !== first[id]));
    expect(conflicts).toEqual([]);
    const standing = await Promise.all(taskIds.map(async (id) => toJson((await store.read(id))?.outcome)));
    expect(standing).toEqual(taskIds.map((id) => first[id]));
    // Nobody was alone.
    for (const name of RACERS) expect(standing.filter((outcome) => outcome.includes(name))).not.toEqual([]);
    const retries = told.reduce((sum, each) => sum + each.retries, 0);
    console.log(`race with ${kills} kills: ${retries} retries`);
    if (kills > 0) expect(retries).toBeGreaterThan(0);
  },
);

class Racer {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #reports: Report[] = [];
  readonly #conditions: Conditions;

  /** It is killed when the test ends. */
  static async start(name: string, url: string): Promise<Racer> {
    const racer = new Racer(name, url);
    await racer.#reported("ready", () => true);
    return racer;
  }

  private constructor(name: string, url: string) {
    this.#name = name;
    this.#conditions = new Conditions(
      () => `the last that ${name} said: ${toJson(this.#reports.at(-1))}`,
      PATIENCE_MS,
    );
    const script = fileURLToPath(new URL("support/racer.ts", import.meta.url));
    this.#child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), script, url], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#child.on("message", (report: Report) => {
      this.#reports.push(report);
      this.#conditions.check();
    });
    onTestFinished(async () => {
      const isRunning = this.#child.exitCode === null && this.#child.signalCode === null;
      if (isRunning && this.#child.kill("SIGKILL")) await once(this.#child, "exit");
    });
  }

  go(taskIds: readonly string[], random: Random): void {
    const race: Race = { name: this.#name, seed: random.between(0, 2 ** 32 - 1), taskIds };
    this.#child.send(race);
  }

  /** Settles when it has ended so many. */
  async ended(count: number): Promise<void> {
    await this.#reported("ended", (report) => report.count >= count);
  }

  told(): Promise<Report & { readonly kind: "told" }> {
    return this.#reported("told", () => true);
  }

  #reported<K extends Report["kind"]>(
    kind: K,
    isWanted: (report: Report & { readonly kind: K }) => boolean,
  ): Promise<Report & { readonly kind: K }> {
    const find = () =>
      this.#reports.find(
        (report): report is Report & { readonly kind: K } =>
          report.kind === kind && isWanted(report as Report & { readonly kind: K }),
      );
    return this.#conditions.found(find, `${this.#name} to say "${kind}"`);
  }
}
