// Which rules the calls suggest for the configuration file. Nothing is changed here.

import { get } from "/api.js";
import { html, useEffect, useState } from "/htm.js";
import { whileSeen } from "/seen.js";
import { durationText, timeText } from "/words.js";

const EVERY_MS = 60_000;
const PERIODS = [
  ["", "since it started"],
  ["1", "of the last hour"],
  ["24", "of the last 24 hours"],
];

export function Suggestions({ onFault }) {
  const [hours, setHours] = useState("");
  const [found, setFound] = useState();
  useEffect(() => {
    let isCurrent = true;
    const take = (suggestions) => isCurrent && setFound(suggestions);
    const look = () => get(`suggestions${hours === "" ? "" : `?hours=${hours}`}`).then(take, onFault);
    const stop = whileSeen(look, EVERY_MS);
    return () => {
      isCurrent = false;
      stop();
    };
  }, [hours]);
  if (found === undefined) return null;
  const rows = found.servers.flatMap(({ name, tools }) => tools.map((figures) => [name, figures]));
  return html`
    <section>
      <h2 id="suggestions">Suggested rules</h2>
      <form onSubmit=${(event) => event.preventDefault()}>
        <label>Calls
          <select value=${hours} onChange=${(event) => setHours(event.target.value)}>
            ${PERIODS.map(([value, text]) => html`<option value=${value} selected=${value === hours}>${text}</option>`)}
          </select>
        </label>
      </form>
      <div class="scrolls" tabindex="0" role="region" aria-labelledby="suggestions">
        <table>
          <caption>${rows.length === 0 ? "no calls" : "calls"} at gateway ${found.replica} since ${timeText(found.since)}</caption>
          <thead>
            <tr>
              <th scope="col">Tool</th><th scope="col" class="wide">Server</th><th scope="col">Mode</th><th scope="col">Calls</th>
              <th scope="col">p50</th><th scope="col">p95</th><th scope="col" class="wide">Longest</th><th scope="col">Abandoned</th>
              <th scope="col">Suggested</th>
            </tr>
          </thead>
          <tbody>
            ${rows.map(
              ([server, figures]) => html`
                <tr key=${`${server}/${figures.tool}`}>
                  <td>${figures.tool}</td><td class="wide">${server}</td><td>${figures.mode}</td><td>${figures.calls}</td>
                  <td>${durationText(figures.p50Ms)}</td><td>${durationText(figures.p95Ms)}</td>
                  <td class="wide">${durationText(figures.maxMs)}</td>
                  <td>${figures.abandoned === 0 ? "0" : `${figures.abandoned} at ${durationText(figures.abandonedMs)}`}</td>
                  <td>${figures.verdict === "rule" ? "a rule, below" : figures.verdict}</td>
                </tr>
              `,
            )}
          </tbody>
        </table>
      </div>
      ${rows.length === 0 ? null : html`<pre tabindex="0" aria-label="Rules for the configuration file">${found.yaml}</pre>`}
    </section>
  `;
}
