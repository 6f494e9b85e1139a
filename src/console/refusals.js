// Who was refused at this gateway in the last hour, and by which limit.

import { get } from "/api.js";
import { html, useEffect, useState } from "/htm.js";
import { whileSeen } from "/seen.js";
import { timeText } from "/words.js";

const EVERY_MS = 5_000;

export function Refusals({ onFault }) {
  const [refusals, setRefusals] = useState([]);
  const look = () => get("refusals").then((answer) => setRefusals(answer.refusals), onFault);
  useEffect(() => whileSeen(look, EVERY_MS), []);
  if (refusals.length === 0) return null;
  return html`
    <section>
      <h2 id="refusals">Refused in the last hour</h2>
      <div class="scrolls" tabindex="0" role="region" aria-labelledby="refusals">
        <table>
          <thead>
            <tr>
              <th scope="col">Caller</th><th scope="col">Server</th><th scope="col">Why</th><th scope="col">Times</th>
              <th scope="col">Last</th><th scope="col" class="wide">First</th>
            </tr>
          </thead>
          <tbody>
            ${refusals.map(
              ({ caller, server, reason, limit, count, firstAt, lastAt }) => html`
                <tr key=${JSON.stringify([server, caller, reason, limit])}>
                  <td>${caller}</td><td>${server}</td><td>${limit === undefined ? reason : limit}</td><td>${count}</td>
                  <td>${timeText(lastAt)}</td><td class="wide">${timeText(firstAt)}</td>
                </tr>
              `,
            )}
          </tbody>
        </table>
      </div>
    </section>
  `;
}
