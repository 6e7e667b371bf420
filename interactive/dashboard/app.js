// The page of a run: what the server says, live, and the commands that steer it.
import { Chart, number } from "./chart.js";

const $ = (id) => document.getElementById(id);
const MAX_POINTS = 4000;
const charts = { loss: new Chart($("loss")), lr: new Chart($("lr")) };
const sent = new Map(); // command id -> list item, until its outcome stands in the ledger
const entries = [];
let status = {};
let heard = 0; // when the last status arrived, ms
let source = null;
let pictures = [];
let shown = -1; // index of the picture on show; the newest is followed
let rate = null;
let lastLoss = null;

class Refused extends Error {}

async function api(path, options) {
  const response = await fetch(path, { credentials: "same-origin", ...options });
  if (response.status === 401) throw new Refused("login");
  if (!response.ok && ![409, 422].includes(response.status)) {
    const detail = await response.json().then((got) => got.detail, () => response.statusText);
    throw new Error(detail);
  }
  return response.status === 204 ? null : response.json();
}

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function terms(list, pairs) {
  list.replaceChildren(...pairs.map(([name, value]) => {
    const pair = element("div");
    pair.append(element("dt", name), element("dd", value));
    return pair;
  }));
}

// ---- reading

async function reload() {
  source?.close();
  status = await api("/api/status");
  const recent = await api(`/api/ledger?newest=true&limit=300&after=-1`);
  entries.splice(0, entries.length, ...recent.entries.filter((entry) => entry.seq < status.ledger_head));
  charts.loss.curves.clear();
  charts.lr.curves.clear();
  const others = status.branches.filter((branch) => branch !== status.branch).slice(-4);
  await Promise.all([...others.map((branch) => fetchCurve("loss", branch)), fetchCurves(status.branch)]);
  pictures = (await api("/api/rollouts")).rollouts;
  $("login").hidden = true;
  $("page").hidden = false;
  showStatus();
  showLedger();
  showPicture(pictures.length - 1);
  listen(status.cursor);
}

const fetchCurves = (branch) => Promise.all(["loss", "lr"].map((field) => fetchCurve(field, branch)));

async function fetchCurve(field, branch) {
  const got = await api(`/api/metrics?field=${field}&branch=${encodeURIComponent(branch)}&max_points=1500`);
  charts[field].set(branch, got.steps, got.values.map(Number)); // "NaN" is a number too
}

function listen(cursor) {
  source = new EventSource(`/api/events?after=${cursor}`);
  const on = (kind, act) => source.addEventListener(kind, (event) => act(JSON.parse(event.data)));
  on("reload", () => start());
  on("status", (got) => { status = got; showStatus(); });
  on("metrics", ({ records }) => addRecords(records));
  on("ledger", (entry) => addEntry(entry));
  source.onerror = () => { heard = 0; if (source.readyState === EventSource.CLOSED) setTimeout(start, 2000); };
}

async function start() {
  try {
    const secret = new URLSearchParams(location.hash.slice(1)).get("login");
    if (secret) {
      history.replaceState(null, "", location.pathname);
      await login(secret).catch(() => null);
    }
    await reload();
  } catch (error) {
    if (error instanceof Refused) { $("login").hidden = false; $("page").hidden = true; }
    else setTimeout(start, 2000);
  }
}

const post = (path, body) => api(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
const login = (token) => post("/api/login", { token });

// ---- showing

const TONES = { training: "good", paused: "warn", waiting: "warn", recovering: "warn", lost: "bad" };

function showStatus() {
  heard = performance.now();
  document.title = `${status.run} · ${status.state}`;
  $("run").textContent = status.run;
  $("state").textContent = status.state;
  $("state").dataset.tone = TONES[status.state] ?? "";
  $("problem").hidden = !status.problem;
  $("problem").textContent = status.problem ?? "";
  showFacts();
  const paused = status.state === "paused";
  $("hold").textContent = paused ? "Resume" : "Pause";
  $("hold").form.dataset.command = paused ? "resume" : "pause";
  terms($("clips"), Object.entries(status.clips).filter(([, value]) => typeof value === "number").map(([name, value]) => [name.replaceAll("_", " "), number(value)]));
  if (!$("clips").children.length) $("clips").append(element("p", "none yet", { class: "quiet" }));
  showSettings(status.settings.mixture ?? {});
  showCheckpoints();
  for (const chart of Object.values(charts)) {
    if (chart.current !== status.branch) { chart.current = status.branch; chart.draw(); }
  }
}

function showFacts() {
  const facts = [["step", number(status.step)], ["branch", status.branch], ["loss", number(lastLoss ?? charts.loss.curves.get(status.branch)?.values.at(-1))], ["lr", number(status.lr)], ["data mark", number(status.mark)]];
  if (rate && status.state === "training") facts.push(["steps/s", number(Number(rate.toPrecision(3)))]);
  terms($("facts"), facts);
}

const untouched = (form) => !form.dataset.touched && !form.contains(document.activeElement);

function showSettings(mixture) {
  const weights = Object.entries(mixture.weights ?? {});
  $("now-lr").textContent = number(status.lr);
  $("now-mixture").textContent = weights.map(([name, weight]) => `${name} ${number(weight)}`).join(" · ");
  const byLr = document.querySelector("[data-command=update_optimizer]");
  if (untouched(byLr) && status.lr) byLr.lr.value = String(status.lr);
  const form = document.querySelector("[data-command=update_mixture]");
  if (!untouched(form)) return;
  $("weights").replaceChildren(...weights.map(([name, weight]) => {
    const row = element("label", `${name} weight`);
    row.append(element("input", "", { name: `weights.${name}`, value: weight, inputmode: "decimal" }));
    return row;
  }));
  form.fresh_rows.value = mixture.fresh_rows ?? "";
  form.live_intake.checked = mixture.live_intake ?? false;
}

function showCheckpoints() {
  const select = document.querySelector("[name=checkpoint]");
  if (select.options.length === status.checkpoints.length || document.activeElement === select) return;
  const label = (one) => `${one.checkpoint}: before step ${number(one.step)}, ${one.branch}${one.kept ? ", kept" : ""}`;
  select.replaceChildren(...status.checkpoints.toReversed().map((one) => element("option", label(one), { value: one.checkpoint })));
}

function describe(entry) {
  const by = entry.issuer ? ` — ${entry.issuer.name}${entry.reason ? `: ${entry.reason}` : ""}` : "";
  const { command, ...asked } = entry.command ?? {};
  const flat = (value) => (value !== null && typeof value === "object" ? Object.entries(value).map(([k, v]) => `${k}=${flat(v)}`).join(" ") : typeof value === "number" ? number(value) : String(value));
  const rest = flat(Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== null)));
  const head = command && [command.replaceAll("_", " "), rest].filter(Boolean).join(" ");
  switch (entry.kind) {
    case "intervention": return entry.state === "applied" ? `${head}${by}` : `${head} ${entry.state}: ${entry.hint ?? entry.code}${by}`;
    case "failure": return `failed: ${entry.hint ?? entry.code}`;
    case "mark": return `data up to clip ${number(entry.mark)}`;
    case "withdrawal": return `${entry.code ?? "withdrawn"}: ${entry.withdrawn.length === 1 ? "clip" : "clips"} ${entry.withdrawn.map((clip) => number(clip)).join(", ")}`;
    case "checkpoint": return `checkpoint ${entry.checkpoint}${entry.kept ? " (kept)" : ""}`;
    case "evaluation": return `${entry.evaluation}: ${flat(entry.measures)}`;
    case "session": return `trainer ${entry.pid ?? ""} took the run up`;
    default: return entry.kind;
  }
}

function showLedger() {
  $("ledger").replaceChildren(...entries.slice(-60).reverse().map((entry) => {
    const row = element("li");
    const bad = entry.kind === "failure" || ["rejected", "expired"].includes(entry.state);
    row.append(element("span", number(entry.step), { class: "step", title: `branch ${entry.branch}` }), element("span", describe(entry), bad ? { class: "bad" } : {}));
    return row;
  }));
  const markers = entries.filter((entry) => entry.kind === "intervention" && entry.state === "applied");
  for (const chart of Object.values(charts)) {
    chart.markers = markers.map((entry) => ({ step: entry.step, branch: entry.branch, text: describe(entry) }));
    chart.draw();
  }
}

function showPicture(index) {
  shown = index;
  const picture = pictures[index];
  $("frames").hidden = !picture;
  $("older").disabled = index <= 0;
  $("newer").disabled = index >= pictures.length - 1;
  if (!picture) return;
  $("rollout").src = `/api/rollouts/${encodeURIComponent(picture.name)}`;
  $("caption").textContent = `before step ${number(picture.step)} · ${picture.branch}`;
}

function addRecords(records) {
  for (const { branch, step, loss, lr, wall_s } of records) {
    const count = Math.max(charts.loss.add(branch, step, Number(loss)), charts.lr.add(branch, step, Number(lr)));
    if (count === MAX_POINTS) fetchCurves(branch).catch(() => null);
    lastLoss = Number(loss);
    if (wall_s) addRecords.times = [...(addRecords.times ?? []), wall_s].slice(-60);
  }
  const times = addRecords.times ?? [];
  rate = times.length > 1 ? (times.length - 1) / (times.at(-1) - times[0]) : null;
  status.step = records.at(-1).step;
  status.branch = records.at(-1).branch;
  for (const chart of Object.values(charts)) { chart.current = status.branch; chart.draw(); }
  showFacts();
}

async function addEntry(entry) {
  entries.push(entry);
  if (entries.length > 600) entries.splice(0, 300);
  showLedger();
  if (entry.kind === "intervention" && sent.has(entry.command_id)) {
    const applied = entry.state === "applied";
    settle(sent.get(entry.command_id), applied ? "applied" : "refused", applied ? `applied at step ${number(entry.step)}` : `${entry.state}: ${entry.hint ?? entry.code}`);
  }
  if (entry.kind === "evaluation" && entry.picture) {
    const follows = shown === pictures.length - 1;
    pictures = (await api("/api/rollouts")).rollouts;
    showPicture(follows ? pictures.length - 1 : shown);
  }
}

// ---- steering

function newId() { // UUID version 7
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let stamp = Date.now();
  for (let i = 5; i >= 0; i--) { bytes[i] = stamp % 256; stamp = Math.floor(stamp / 256); }
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

// What is no number is sent as it was typed: the server says what is wrong with it.
const float = (text) => (text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text));

function commandOf(form, name) {
  if (name === "update_optimizer") return { command: name, lr: float(form.lr.value) };
  if (name === "load_checkpoint") return { command: name, checkpoint: form.checkpoint.value, ...(form.branch.value && { branch: form.branch.value }) };
  if (name !== "update_mixture") return { command: name };
  const now = status.settings.mixture ?? {};
  const command = { command: name };
  const weights = [...form.querySelectorAll("[name^='weights.']")].map((input) => [input.name.slice(8), float(input.value)]).filter(([source, weight]) => weight !== now.weights[source]);
  if (weights.length) command.weights = Object.fromEntries(weights);
  if (form.fresh_rows.value !== "" && float(form.fresh_rows.value) !== now.fresh_rows) command.fresh_rows = float(form.fresh_rows.value);
  if (form.live_intake.checked !== (now.live_intake ?? false)) command.live_intake = form.live_intake.checked;
  return command;
}

function settle(row, state, text) {
  row.lastChild.textContent = text;
  row.lastChild.dataset.state = state;
}

async function send(form, name) {
  const command = commandOf(form, name);
  const id = newId();
  const row = element("li");
  row.append(element("span", describe({ kind: "intervention", state: "applied", command })), element("span", "sending …", { class: "quiet" }));
  $("sent").prepend(row);
  while ($("sent").children.length > 5) $("sent").lastChild.remove();
  sent.set(id, row);
  try {
    const got = await post("/api/commands", { command_id: id, command, reason: form.reason.value });
    if (got.code) settle(row, "refused", `refused: ${got.hint}`);
    else if (!row.lastChild.dataset.state) settle(row, "queued", `queued as no. ${got.seq}`);
    if (!got.code) { form.reset(); delete form.dataset.touched; }
  } catch (error) {
    settle(row, "refused", `not sent: ${error.message}`);
  }
}

for (const form of document.querySelectorAll("form[data-command]")) {
  form.addEventListener("input", () => { form.dataset.touched = "yes"; });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form, event.submitter?.value || form.dataset.command);
  });
}
for (const button of document.querySelectorAll("[data-scale]")) {
  button.addEventListener("click", () => {
    const input = button.form.lr;
    input.value = Number((Number(input.value) * Number(button.dataset.scale)).toPrecision(6));
    button.form.dataset.touched = "yes";
  });
}
$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  login(form.token.value).then(() => { form.reset(); start(); }, () => { form.lastElementChild.textContent = "This token is unknown."; });
});
$("log").addEventListener("change", () => { charts.loss.log = $("log").checked; charts.loss.draw(); });
$("older").addEventListener("click", () => showPicture(shown - 1));
$("newer").addEventListener("click", () => showPicture(shown + 1));
setInterval(() => {
  const age = heard ? (performance.now() - heard) / 1000 + (status.heartbeat_age_s ?? 0) : null;
  const live = age !== null && age < 5;
  $("age").textContent = age === null ? "reconnecting …" : live ? `live · ${age.toFixed(1)} s` : `data ${Math.round(age)} s old`;
  $("age").dataset.tone = live ? "good" : status.state === "stopped" ? "" : "bad";
}, 500);
start();
