/**
 * The console of a node: shows its status and schema and runs SQL, by the HTTP API that every client has. No build step, no outside
 * resource. Whatever comes from the database is put into the page as text, never as markup.
 */
"use strict";

const HISTORY_KEY = "pumice.history";
const HISTORY_MAX = 50;
const ROWS_SHOWN_MAX = 1000;
const REFRESH_MS = 5000;

const byId = (id) => document.getElementById(id);

/** A new element with a class and children; strings become text. */
function element(name, options = {}, ...children) {
  const made = document.createElement(name);
  if (options.class) made.className = options.class;
  if (options.title) made.title = options.title;
  made.append(...children);
  return made;
}

/** JSON with integers beyond 2^53 as their digits, where the browser can tell them. */
function parseExact(text) {
  return JSON.parse(text, (_key, value, context) =>
    typeof value === "number" &&
    context?.source &&
    Number.isInteger(value) &&
    !Number.isSafeInteger(value) &&
    /^-?\d+$/.test(context.source)
      ? context.source
      : value,
  );
}

async function fetchJson(path, options) {
  const response = await fetch(path, { cache: "no-store", ...options });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text.trim() || response.statusText}`);
  return parseExact(text);
}

function post(path, statements) {
  return fetchJson(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(statements) });
}

/* Status */

function card(name, value, detail) {
  const list = element(
    "dl",
    { class: "card", title: detail ?? "" },
    element("dt", {}, name),
    element("dd", {}, String(value ?? "unknown")),
  );
  if (detail) list.append(element("small", {}, detail));
  return list;
}

async function showStatus() {
  const state = byId("state");
  try {
    const status = await fetchJson("../status");
    const store = status.store ?? {};
    const raft = store.raft ?? {};
    const sqlite = store.sqlite3 ?? {};
    byId("cards").replaceChildren(
      card("Role", raft.state ?? "starting", store.leader?.node_id ? `leader: ${store.leader.node_id}` : "no leader known"),
      card(
        "Term and index",
        raft.term === undefined ? "unknown" : `${raft.term} / ${raft.commit_index}`,
        `applied: ${store.db_applied_index ?? "unknown"}`,
      ),
      card("Database", sqlite.db_size_friendly ?? sqlite.db_size, sqlite.path),
      card("SQLite", sqlite.version, `WAL: ${sqlite.wal_size ?? "unknown"} bytes`),
      card("Queue", status.http?.queue?._default?.pending ?? 0, "writes that wait"),
      card("Up", status.node?.uptime, `version ${status.build?.version ?? "unknown"}`),
    );
    const ready = store.ready === true;
    state.textContent = ready ? "ready" : "not ready";
    state.className = `state ${ready ? "good" : "bad"}`;
  } catch (error) {
    state.textContent = error instanceof TypeError ? "no answer" : error.message;
    state.className = "state bad";
  }
}

/* Schema */

const SCHEMA_SQL = `SELECT m.type, m.name, m.tbl_name, (SELECT json_group_array(json_array(i.name, i.type, i.pk)) FROM pragma_table_info(m.name) AS i)
FROM sqlite_master AS m WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY m.type, m.name`;

async function showSchema() {
  const box = byId("schema");
  try {
    const { results, error } = await post("../db/query?level=none", [SCHEMA_SQL]);
    const problem = error ?? results[0]?.error;
    if (problem) throw new Error(problem);
    const rows = results[0]?.values ?? [];
    const open = new Set([...box.querySelectorAll("details[open]")].map((entry) => entry.dataset.name));
    box.replaceChildren(...(rows.length === 0 ? [element("p", { class: "nothing" }, "No tables yet.")] : rows.map(schemaEntry)));
    for (const entry of box.querySelectorAll("details")) entry.open = open.has(entry.dataset.name);
  } catch (error) {
    box.replaceChildren(element("p", { class: "nothing" }, `The schema could not be read: ${error.message}`));
  }
}

function schemaEntry([type, name, , columns]) {
  const items = JSON.parse(columns ?? "[]").map(([column, columnType, key]) =>
    element("li", {}, column, " ", element("span", {}, `${columnType.toLowerCase()}${key > 0 ? " key" : ""}`)),
  );
  const look = element("button", { class: "quiet", title: "Show the first rows" }, "Show rows");
  look.type = "button";
  look.addEventListener("click", () => {
    byId("sql").value = `SELECT * FROM "${name.replaceAll('"', '""')}" LIMIT 100`;
    void run();
  });
  const entry = element(
    "details",
    {},
    element("summary", {}, name, " ", element("span", {}, type === "view" ? "view" : "")),
    element("ul", {}, ...items),
    look,
  );
  entry.dataset.name = name;
  return entry;
}

/* Query */

async function run() {
  const sql = byId("sql").value.trim();
  if (sql === "") return;
  const button = byId("run");
  const timing = byId("timing");
  const started = performance.now();
  button.disabled = true;
  timing.textContent = "running";
  try {
    const flags = byId("transaction").checked ? "&transaction" : "";
    const level = encodeURIComponent(byId("level").value);
    const answer = await post(`../db/request?timings&level=${level}${flags}`, [sql]);
    remember(sql);
    show(answer);
    timing.textContent = `${formatMs((answer.time ?? 0) * 1000)} in the node, ${formatMs(performance.now() - started)} in all`;
    if (answer.results.some((result) => !result.columns)) void showSchema();
  } catch (error) {
    show({ results: [], error: error.message });
    timing.textContent = "";
  } finally {
    button.disabled = false;
  }
}

function formatMs(ms) {
  return ms < 1 ? `${Math.round(ms * 1000)} \u00b5s` : `${ms.toFixed(ms < 10 ? 2 : 0)} ms`;
}

function show({ results, error }) {
  const parts = results.map(resultPart);
  if (error) parts.unshift(errorPart(error));
  if (parts.length === 0) parts.push(element("div", { class: "result" }, element("p", {}, "Nothing to run.")));
  byId("results").replaceChildren(...parts);
}

function errorPart(text) {
  return element("div", { class: "result" }, element("p", { class: "error" }, text));
}

function resultPart(result) {
  const part = element("div", { class: "result" });
  if (result.columns) {
    const rows = result.values ?? [];
    part.append(
      element(
        "p",
        {},
        `${rows.length} ${rows.length === 1 ? "row" : "rows"}${rows.length > ROWS_SHOWN_MAX ? `, the first ${ROWS_SHOWN_MAX} shown` : ""}`,
      ),
    );
    part.append(element("div", { class: "scroll" }, table(result, rows.slice(0, ROWS_SHOWN_MAX))));
  } else if (!result.error) {
    const changed = result.rows_affected ?? 0;
    const id = result.last_insert_id ? `, last insert id ${result.last_insert_id}` : "";
    part.append(element("p", {}, `Done: ${changed} ${changed === 1 ? "row" : "rows"} affected${id}.`));
  }
  if (result.error) part.append(element("p", { class: "error" }, result.error));
  return part;
}

function table({ columns, types }, rows) {
  const head = columns.map((name, i) => {
    const isNumber = /^(int|real|num|double|float)/.test(types[i]);
    return element("th", { class: isNumber ? "number" : "" }, name, element("small", {}, types[i] || "\u00a0"));
  });
  const body = rows.map((row) => element("tr", {}, ...row.map((value, i) => cell(value, types[i]))));
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
}

function cell(value, type) {
  if (value === null) return element("td", { class: "null" }, "NULL");
  const isNumber = typeof value === "number" || (typeof value === "string" && type === "integer");
  return element("td", { class: isNumber ? "number" : "" }, String(value));
}

/* History: kept in this browser only. */

function history() {
  try {
    return JSON.parse(localStorage.getItem(HISTORY_KEY) ?? "[]");
  } catch {
    return [];
  }
}

function remember(sql) {
  const entries = [sql, ...history().filter((entry) => entry !== sql)].slice(0, HISTORY_MAX);
  localStorage.setItem(HISTORY_KEY, JSON.stringify(entries));
  showHistory();
}

function showHistory() {
  const entries = history().map((sql) => {
    const button = element("button", { title: sql }, sql);
    button.type = "button";
    button.addEventListener("click", () => {
      byId("sql").value = sql;
      byId("sql").focus();
    });
    return element("li", {}, button);
  });
  byId("history").replaceChildren(...entries);
  byId("history-box").hidden = entries.length === 0;
}

byId("query").addEventListener("submit", (event) => {
  event.preventDefault();
  void run();
});
byId("sql").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    void run();
  }
});
byId("reload-schema").addEventListener("click", () => void showSchema());
byId("clear-history").addEventListener("click", () => {
  localStorage.removeItem(HISTORY_KEY);
  showHistory();
});

showHistory();
void showSchema();
void showStatus();
setInterval(() => {
  if (!document.hidden) void showStatus();
}, REFRESH_MS);
