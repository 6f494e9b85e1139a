// The console of mcp-taskgate: what the API tells, kept up to date. Whatever servers and clients call themselves is text, never markup.

import { cancel, get, listen, NoToken, NotThere, useToken } from "/api.js";
import { Charts } from "/charts.js";
import { html, render, useEffect, useRef, useState } from "/htm.js";
import { Refusals } from "/refusals.js";
import { Suggestions } from "/suggestions.js";
import { Webhooks } from "/webhooks.js";
import { durationText, timeText } from "/words.js";

const FILTERS = ["server", "tool", "status", "caller"];
/** How many tasks it shows, and at the most. */
const FEW = 100;
const MANY = 500;
/** At most so often the page asks again, however much happens. */
const REFRESH_MS = 500;
/** Without events, as when the gateway was away, and for how long tasks have run. */
const IDLE_MS = 5_000;
const RETRY_MS = 2_000;

function Console() {
  const [filter, setFilter] = useState(filterInAddress());
  const [seen, setSeen] = useState({ tasks: [], counts: {}, looked: 0, servers: [], replicas: [] });
  const [note, setNote] = useState("");
  const [wantsToken, setWantsToken] = useState("");
  const [limit, setLimit] = useState(FEW);
  const [chosen, setChosen] = useState(new URLSearchParams(location.search).get("task") ?? "");
  const refresh = useRef(() => {});

  const report = (error) => {
    if (error instanceof NoToken) setWantsToken(error.message);
    else setNote(`${error.message}. This is how it was.`);
  };

  useEffect(() => {
    writeAddress(filter, chosen);
    let isCurrent = true;
    const look = async () => {
      try {
        const [listing, { servers }, { replicas }, { lastReload }] = await Promise.all([
          get(`tasks?limit=${limit}&${queryOf(filter)}`),
          get("servers"),
          get("replicas"),
          get("config"),
        ]);
        if (!isCurrent) return;
        setSeen({ ...listing, servers, replicas, lastReload });
        setNote("");
        setWantsToken("");
      } catch (error) {
        if (isCurrent) report(error);
      }
    };
    refresh.current = look;
    void look();
    return () => {
      isCurrent = false;
    };
  }, [filter.server, filter.tool, filter.status, filter.caller, limit]);

  useEffect(() => writeAddress(filter, chosen), [chosen]);
  useEffect(() => keepUpToDate(() => refresh.current(), report), []);

  if (wantsToken !== "")
    return html`<${TokenForm} reason=${wantsToken} onToken=${() => refresh.current()} />`;
  return html`
    <header><h1>mcp-taskgate</h1></header>
    <main>
      ${note === "" ? null : html`<p class="note" role="status">${note}</p>`}
      <${Filters} filter=${filter} statuses=${Object.keys(seen.counts)} servers=${seen.servers} onChange=${setFilter} />
      <${Tasks} seen=${seen} chosen=${chosen} onChoose=${setChosen} />
      ${seen.nextCursor === undefined || limit === MANY ? null : html`<p><button onClick=${() => setLimit(MANY)}>Show up to ${MANY}</button></p>`}
      ${chosen === "" ? null : html`<${Story} name=${chosen} version=${seen} onClose=${() => setChosen("")} onFault=${report} />`}
      ${seen.lastReload === undefined ? null : html`<${Reload} reload=${seen.lastReload} />`}
      <${Charts} onFault=${report} />
      <${Servers} servers=${seen.servers} />
      <${Refusals} onFault=${report} />
      <${Suggestions} onFault=${report} />
      <${Webhooks} onFault=${report} />
      <${Replicas} replicas=${seen.replicas} />
    </main>
  `;
}

/** Asks again when something has happened, and now and then; not while nobody looks. Returns the function that ends it. */
function keepUpToDate(look, report) {
  const over = new AbortController();
  let due = 0;
  let timer;
  const soon = (ms) => {
    const at = Date.now() + ms;
    if (timer !== undefined && due <= at) return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(async () => {
      timer = undefined;
      if (document.hidden) return;
      await look();
      soon(IDLE_MS);
    }, ms);
  };
  const onShown = () => {
    if (!document.hidden) soon(0);
  };
  document.addEventListener("visibilitychange", onShown);
  const follow = async () => {
    while (!over.signal.aborted) {
      try {
        await listen(() => soon(REFRESH_MS), over.signal);
      } catch (error) {
        if (!over.signal.aborted) report(error);
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  };
  void follow();
  soon(IDLE_MS);
  return () => {
    over.abort();
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", onShown);
  };
}

function TokenForm({ reason, onToken }) {
  const onSubmit = (event) => {
    event.preventDefault();
    useToken(new FormData(event.target).get("token"));
    onToken();
  };
  return html`
    <main>
      <h1>mcp-taskgate</h1>
      <p role="status">${reason}</p>
      <form onSubmit=${onSubmit}>
        <label>Token <input name="token" type="password" autocomplete="off" required /></label>
        <button>Show</button>
      </form>
    </main>
  `;
}

function Filters({ filter, statuses, servers, onChange }) {
  const set = (name) => (event) => onChange({ ...filter, [name]: event.target.value });
  const option = (value, text = value) =>
    html`<option value=${value} selected=${value === filter.status}>${text}</option>`;
  return html`
    <form role="search" aria-label="Filters" onSubmit=${(event) => event.preventDefault()}>
      <label>Status
        <select value=${filter.status} onChange=${set("status")}>
          ${option("", "any")}${statuses.map((status) => option(status))}
        </select>
      </label>
      <label>Server
        <select value=${filter.server} onChange=${set("server")}>
          <option value="">any</option>
          ${servers.map(({ name }) => html`<option value=${name} selected=${name === filter.server}>${name}</option>`)}
        </select>
      </label>
      <label>Tool <input value=${filter.tool} onChange=${set("tool")} /></label>
      <label>Caller <input value=${filter.caller} onChange=${set("caller")} /></label>
    </form>
  `;
}

function Tasks({ seen, chosen, onChoose }) {
  const { tasks, counts, looked, nextCursor } = seen;
  const told = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([status, count]) => `${count} ${status}`);
  const summary = `${told.length === 0 ? "no tasks" : told.join(", ")}${nextCursor === undefined ? "" : `, of the last ${looked}`}`;
  return html`
    <section>
      <h2 id="tasks">Tasks</h2>
      <div class="scrolls" tabindex="0" role="region" aria-labelledby="tasks">
        <table>
          <caption>${summary}</caption>
          <thead>
            <tr>
              <th scope="col">Task</th><th scope="col">Status</th><th scope="col">Tool</th><th scope="col">Server</th>
              <th scope="col" class="wide">Caller</th><th scope="col" class="wide">Created</th><th scope="col">Took</th>
              <th scope="col" class="wide">Gateway</th>
            </tr>
          </thead>
          <tbody>
            ${tasks.map(
              (task) => html`
                <tr key=${task.name}>
                  <td><button class="name" aria-pressed=${task.name === chosen} onClick=${() => onChoose(task.name)}>${task.name}</button></td>
                  <td class=${task.status}>${task.status}</td><td>${task.tool}</td><td>${task.server}</td>
                  <td class="wide">${task.caller}</td><td class="wide">${timeText(task.createdAt)}</td>
                  <td>${durationText(task.durationMs)}</td><td class="wide">${task.replica}</td>
                </tr>
              `,
            )}
          </tbody>
        </table>
      </div>
    </section>
  `;
}

function Story({ name, version, onClose, onFault }) {
  const [task, setTask] = useState();
  const [gone, setGone] = useState("");
  const question = useRef();
  const panel = useRef();
  /** The name that no task has: whatever happens, none will have it again. */
  const missing = useRef("");
  useEffect(() => {
    if (missing.current === name) return;
    let isCurrent = true;
    get(`tasks/${encodeURIComponent(name)}`).then(
      (story) => {
        if (!isCurrent) return;
        setTask(story);
        setGone("");
      },
      (error) => {
        if (!isCurrent) return;
        if (error instanceof NotThere) missing.current = name;
        setTask(undefined);
        setGone(error.message);
      },
    );
    return () => {
      isCurrent = false;
    };
  }, [name, version]);
  const isShown = task?.name === name;
  // Below a list of a hundred tasks nobody sees that it has opened.
  useEffect(() => panel.current?.scrollIntoView({ block: "nearest" }), [name, isShown]);
  const onCancel = async () => {
    question.current.close();
    await cancel(name).then(setTask, onFault);
  };
  if (!isShown)
    return html`<section class="panel" aria-live="polite"><p>${gone === "" ? "…" : gone}</p><button onClick=${onClose}>Close</button></section>`;
  const lines = [
    ["Tool", `${task.tool} (${task.server})`],
    ["Caller", task.caller],
    ["Status", task.errorCode === undefined ? task.status : `${task.status}, error ${task.errorCode}`],
    ...(task.reason === undefined ? [] : [["Why", task.reason]]),
    ["Gateway", task.replica],
    ["Took", durationText(task.durationMs)],
    [
      "Kept until",
      task.expiresAt === undefined ? "it has ended, and then for a while" : timeText(task.expiresAt),
    ],
  ];
  const isSilent =
    task.payloads === undefined &&
    (task.status === "failed" || task.status === "tool_error" || task.questions > 0);
  return html`
    <section class="panel" aria-labelledby="story" ref=${panel}>
      <h2 id="story">Task ${name}</h2>
      <dl>${lines.map(([term, text]) => html`<dt class="quiet">${term}</dt><dd>${text}</dd>`)}</dl>
      <ol class="story">
        ${task.story.map(
          ({ at, what, count, replica }) => html`
            <li>
              ${timeText(at)} <strong>${what}${count === undefined ? "" : ` ${count}`}</strong>
              <span class="quiet"> +${durationText(Date.parse(at) - Date.parse(task.createdAt))}${replica === undefined ? "" : ` at ${replica}`}</span>
            </li>
          `,
        )}
      </ol>
      ${isSilent ? html`<p class="quiet">What server and client said is shown with admin.payloads: true.</p>` : null}
      ${task.payloads === undefined ? null : html`<pre>${JSON.stringify(task.payloads, null, 2)}</pre>`}
      ${task.endedAt !== undefined ? null : html`<button onClick=${() => question.current.showModal()}>Cancel this task…</button>`}
      <button onClick=${onClose}>Close</button>
      <dialog ref=${question} aria-labelledby="question">
        <p id="question">Cancel task ${name}, a call of ${task.tool}? Its client is told that it was cancelled.</p>
        <button onClick=${onCancel}>Cancel the task</button>
        <button onClick=${() => question.current.close()}>Let it run</button>
      </dialog>
    </section>
  `;
}

/** What a configuration file can change. */
const CHANGES = {
  added: "Servers added",
  removed: "Servers removed",
  replaced: "Servers replaced",
  ruled: "Servers with other rules",
  limits: "Other limits",
};

/** What became of the configuration file when it was read last. */
function Reload({ reload }) {
  const { at, outcome, problems = [], restart = [] } = reload;
  const changes = Object.entries(CHANGES)
    .filter(([change]) => reload[change]?.length > 0)
    .map(([change, words]) => ` ${words}: ${reload[change].join(", ")}.`);
  const read = `The configuration file was read ${timeText(at)}`;
  if (outcome === "refused")
    return html`<p class="note" role="alert">${read}, has an error, and nothing of it is applied: ${problems.join("; ")}</p>`;
  const waits = restart.length === 0 ? "" : ` A restart is needed for ${restart.join(", ")}.`;
  return html`<p class="quiet">${read}, and is in force.${changes}${waits}</p>`;
}

function Servers({ servers }) {
  const state = ({ isThere }) => (isThere === undefined ? "unknown" : isThere ? "up" : "gone");
  const took = (ms) => (ms === undefined ? "" : durationText(ms));
  return html`
    <section>
      <h2 id="servers">Servers</h2>
      <div class="scrolls" tabindex="0" role="region" aria-labelledby="servers">
        <table>
          <thead>
            <tr>
              <th scope="col">Server</th><th scope="col">State</th><th scope="col">Says it is</th><th scope="col">Tools</th>
              <th scope="col">Sessions</th><th scope="col">Tasks here</th>
              <th scope="col">p95, last hour</th><th scope="col">Oldest call</th><th scope="col" class="wide">At</th>
            </tr>
          </thead>
          <tbody>
            ${servers.map(
              (server) => html`
                <tr key=${server.name}>
                  <td>${server.name}</td><td class=${state(server)}>${state(server)}</td>
                  <td>${[server.info?.name, server.info?.version, server.protocolVersion].filter(Boolean).join(" ")}</td>
                  <td>${server.tools}</td><td>${server.sessions}</td>
                  <td>${server.tasks.working} working, ${server.tasks.queued} queued, ${server.tasks.input_required} asking</td>
                  <td>${took(server.p95Ms)}</td><td>${took(server.oldestCallMs)}</td>
                  <td class="wide">${server.upstream}</td>
                </tr>
              `,
            )}
          </tbody>
        </table>
      </div>
    </section>
  `;
}

function Replicas({ replicas }) {
  return html`
    <section>
      <h2 id="replicas">Gateways on the store</h2>
      <div class="scrolls" tabindex="0" role="region" aria-labelledby="replicas">
        <table>
          <thead>
            <tr>
              <th scope="col">Gateway</th><th scope="col">State</th><th scope="col">Host</th><th scope="col">Process</th>
              <th scope="col">Version</th><th scope="col" class="wide">Started</th>
            </tr>
          </thead>
          <tbody>
            ${replicas.map(
              ({ id, isMe, isAlive, host, pid, version, startedAt }) => html`
                <tr key=${id}>
                  <td>${id}${isMe ? " (this one)" : ""}</td><td class=${isAlive ? "up" : "gone"}>${isAlive ? "up" : "gone"}</td>
                  <td>${host}</td><td>${pid}</td><td>${version}</td>
                  <td class="wide">${startedAt === undefined ? "" : timeText(startedAt)}</td>
                </tr>
              `,
            )}
          </tbody>
        </table>
      </div>
    </section>
  `;
}

function filterInAddress() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
}

function queryOf(filter) {
  return new URLSearchParams(
    FILTERS.filter((name) => filter[name] !== "").map((name) => [name, filter[name]]),
  );
}

function writeAddress(filter, chosen) {
  const query = queryOf(filter);
  if (chosen !== "") query.set("task", chosen);
  history.replaceState(null, "", query.size === 0 ? "/" : `/?${query}`);
}

render(html`<${Console} />`, document.getElementById("console"));
