/** A real Prometheus of one's own, that scrapes one gateway. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished, vi } from "vitest";
import { freePort } from "../demo/programs.ts";
import type { Json } from "../support/modern-client.ts";

export interface Prometheus {
  /** How many series an expression gives now. @throws when it is none */
  count(expression: string): Promise<number>;
  /** What became of the last scrape: `up`, or why it failed. */
  scraped(): Promise<string>;
}

const EVERY_MS = 200;

/** Starts one that scrapes `target` all the time, and ends with the test. */
export async function startPrometheus(target: URL, rules: string): Promise<Prometheus> {
  const folder = await mkdtemp(join(tmpdir(), "taskgate-prometheus-"));
  const config = join(folder, "prometheus.yml");
  const scrape = { job_name: "gateway", static_configs: [{ targets: [target.host] }] };
  const intervals = { scrape_interval: `${EVERY_MS}ms`, scrape_timeout: `${EVERY_MS}ms` };
  // JSON is YAML.
  await writeFile(
    config,
    JSON.stringify({ global: intervals, rule_files: [rules], scrape_configs: [scrape] }),
  );
  const address = `127.0.0.1:${await freePort()}`;
  const args = [
    `--config.file=${config}`,
    `--storage.tsdb.path=${folder}`,
    `--web.listen-address=${address}`,
  ];
  const child = spawn("prometheus", args, { stdio: "ignore" });
  onTestFinished(async () => {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    await rm(folder, { recursive: true });
  });
  const ask = async (path: string): Promise<Json> => {
    const response = await fetch(`http://${address}/api/v1/${path}`);
    const { status, error, data } = (await response.json()) as Json;
    if (status !== "success") throw new Error(`${path}: ${error}`);
    return data;
  };
  await vi.waitFor(async () => void (await ask("status/buildinfo")), { timeout: 60_000, interval: 50 });
  return {
    count: async (expression) => (await ask(`query?query=${encodeURIComponent(expression)}`)).result.length,
    scraped: async () => {
      const [{ health, lastError }] = (await ask("targets")).activeTargets;
      return lastError === "" ? health : lastError;
    },
  };
}
