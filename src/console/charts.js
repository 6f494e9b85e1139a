// What became of the calls of the last quarter of an hour: how many, how long they took, and how they ended.

import { get } from "/api.js";
import { html, useEffect, useState } from "/htm.js";
import { whileSeen } from "/seen.js";
import { durationText } from "/words.js";

/** As often as there is a new step. */
const EVERY_MS = 10_000;
const HEIGHT = 40;
/** Ended well, badly, because somebody gave up, and with a refusal of the gateway. */
const ENDINGS = [
  ["well", ({ calls, tasks }) => calls.answered + tasks.completed],
  ["badly", ({ calls, tasks }) => calls.failed + tasks.tool_error + tasks.failed + tasks.lost],
  ["given up", ({ calls, tasks }) => calls.abandoned + tasks.cancelled],
  ["refused", ({ calls }) => calls.refused],
];

export function Charts({ onFault }) {
  const [stats, setStats] = useState({ samples: [], stepMs: EVERY_MS });
  useEffect(() => whileSeen(() => get("stats").then(setStats, onFault), EVERY_MS), []);
  const { samples, stepMs } = stats;
  if (samples.length === 0) return null;
  const minutes = Math.round((samples.length * stepMs) / 60_000);
  const begun = samples.map(({ calls }) => sum(Object.values(calls)));
  const ended = ENDINGS.map(([name, count]) => [name, samples.map(count)]);
  return html`
    <section aria-labelledby="charts">
      <h2 id="charts">The last ${minutes} minutes here</h2>
      <div class="charts">
        <${Chart} title="Calls" says=${`${sum(begun)}, at most ${Math.max(...begun)} in ${stepMs / 1_000} s`} lines=${[["calls", begun]]} />
        <${Chart} title="How long they took" says=${tookText(samples)}
          lines=${[["p95", samples.map(({ p95Ms }) => p95Ms)], ["p50", samples.map(({ p50Ms }) => p50Ms)]]} />
        <${Chart} title="How they ended" says=${ended.map(([name, counts]) => `${sum(counts)} ${name}`).join(", ")} lines=${ended} />
      </div>
    </section>
  `;
}

/** Lines over the same steps, each as high as the highest of all. What they say is in words below. */
function Chart({ title, says, lines }) {
  const highest = Math.max(1, ...lines.flatMap(([, values]) => values));
  const points = (values) =>
    values
      .map((value, at) => `${at},${(HEIGHT - (value / highest) * (HEIGHT - 2) - 1).toFixed(1)}`)
      .join(" ");
  const width = Math.max(1, (lines[0]?.[1].length ?? 0) - 1);
  return html`
    <figure>
      <svg role="img" aria-label=${`${title}: ${says}`} viewBox=${`0 0 ${width} ${HEIGHT}`} preserveAspectRatio="none">
        ${lines.map(([name, values]) => html`<polyline class=${name.replace(" ", "-")} points=${points(values)} />`)}
      </svg>
      <figcaption>${title} <span class="quiet">${says}</span></figcaption>
    </figure>
  `;
}

function tookText(samples) {
  const last = samples.findLast(({ calls, tasks }) => calls.answered + tasks.completed > 0);
  const longest = Math.max(...samples.map(({ p95Ms }) => p95Ms));
  if (last === undefined) return "nothing has ended";
  return `last p50 ${durationText(last.p50Ms)}, p95 ${durationText(last.p95Ms)}; p95 at most ${durationText(longest)}`;
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
