// Who is told of tasks, and whether it takes that.

import { get, redeliver } from "/api.js";
import { html, useEffect, useState } from "/htm.js";
import { whileSeen } from "/seen.js";
import { timeText } from "/words.js";

const EVERY_MS = 5_000;

export function Webhooks({ onFault }) {
  const [webhooks, setWebhooks] = useState([]);
  const look = () => get("webhooks").then((answer) => setWebhooks(answer.webhooks), onFault);
  useEffect(() => whileSeen(look, EVERY_MS), []);
  if (webhooks.length === 0) return null;
  const again = (name) => redeliver(name).then(look, onFault);
  const state = ({ failures, failure }) => (failures === 0 ? "" : `${failures} in a row failed: ${failure}`);
  return html`
    <section>
      <h2 id="webhooks">Webhooks</h2>
      <div class="scrolls" tabindex="0" role="region" aria-labelledby="webhooks">
        <table>
          <thead>
            <tr>
              <th scope="col">Webhook</th><th scope="col">Failures</th><th scope="col">Waiting</th><th scope="col">Given up</th>
              <th scope="col" class="wide">Last delivered</th><th scope="col" class="wide">At</th>
            </tr>
          </thead>
          <tbody>
            ${webhooks.map(
              (webhook) => html`
                <tr key=${webhook.name}>
                  <td>${webhook.name}</td><td class=${webhook.failures === 0 ? "" : "gone"}>${state(webhook)}</td>
                  <td>${webhook.waiting}</td>
                  <td>
                    ${webhook.undelivered}
                    ${webhook.undelivered === 0 ? null : html` <button onClick=${() => again(webhook.name)}>Deliver to ${webhook.name} again</button>`}
                  </td>
                  <td class="wide">${webhook.deliveredAt === undefined ? "" : timeText(webhook.deliveredAt)}</td>
                  <td class="wide">${webhook.url}</td>
                </tr>
              `,
            )}
          </tbody>
        </table>
      </div>
    </section>
  `;
}
