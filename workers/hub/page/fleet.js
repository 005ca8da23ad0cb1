// The fleet's page: asks for documents, follows one stream, and puts both where a person looks. What comes is kept at once, and
// drawn at most once a frame.

import { bytes, counted, element, moment, NONE, number, percent, span } from "/assets/format.js";
import { DataTable } from "/assets/data_table.js";
import { subscribe } from "/assets/stream.js";
import { Detail } from "./detail.js";
import { cpuShare, FleetModel, memoryShare, STATES, WORDS, worstPressure } from "./fleet_model.js";
import { HeatMap, METRICS } from "./heat_map.js";
import { mark, stateWord } from "./mark.js";
import { Strip } from "./strip.js";
import { choice as select, nodeLink, nodeTable, taken, unitLink, workerTable } from "./tables.js";

const STREAM = "/v1/stream?topics=hub,nodes,unit,gone,change,later";
const HEAT_MS = 10000;
const DETAIL_MS = 2000;
const WORKERS_MS = 5000;
const WORKERS_ALL_MS = 20000;
const POLL_MS = 5000;
const SOON_MS = 300;
const AGAIN_MS = 1000;
const OLD_SECONDS = 10;
const SILENT_MAX = 100;
const WORST_MAX = 8;
const WORKERS_FEW = 1000;
const WORKERS_ALL = 10000;
const HEAT_ROWS = [20, 60, 200, 1000];
const $ = (id) => document.getElementById(id);

const model = new FleetModel();
let link = "waiting";
let about = { hub: "", suspicion: null };
let workers = { rows: [], found: 0, excluded: {}, isWanted: false };
let tables = {};
let lastEvent = performance.now();
let workersAt = -Infinity;

// ---- the address: what a person has chosen, so that a link shows the same ------------------------

const choice = { view: "overview", q: "", node: "", unit: "", state: "", metric: "cpu", rows: 20, model: "", load: "", on: "", all: "", sort: "" };
const USUAL = { ...choice };

function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  for (const key of Object.keys(choice)) choice[key] = words.get(key) ?? USUAL[key];
  if (!["overview", "nodes", "workers"].includes(choice.view)) choice.view = USUAL.view;
  if (!METRICS[choice.metric]) choice.metric = USUAL.metric;
  if (!["", "idle", "busy", "unknown"].includes(choice.load)) choice.load = "";
  choice.rows = HEAT_ROWS.includes(Number(choice.rows)) ? Number(choice.rows) : USUAL.rows;
}

function address() {
  const words = new URLSearchParams();
  for (const [key, value] of Object.entries(choice)) if (value !== USUAL[key]) words.set(key, value);
  return words.toString();
}

function writeAddress() {
  const text = address();
  if (text !== location.hash.slice(1)) history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

// Another view is a step back in the history of the browser; a filter is none.
function go(changes) {
  Object.assign(choice, changes);
  const text = address();
  if (text !== location.hash.slice(1)) history.pushState(null, "", text ? `#${text}` : location.pathname + location.search);
  show();
}

const sortOf = (view, otherwise) => {
  const [key, way] = choice.view === view && choice.sort ? choice.sort.split("-") : [];
  return key ? { key, isDescending: way !== "up" } : otherwise;
};
const sorted = ({ key, isDescending }) => {
  choice.sort = `${key}-${isDescending ? "down" : "up"}`;
  writeAddress();
};

// ---- documents -----------------------------------------------------------------------------------

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.error?.sentence ?? answer.statusText);
  return found;
}

function setHub(found) {
  about = { ...about, ...found };
  $("hub").textContent = about.hub;
  $("hub").title = about.hub;
  document.title = `${about.hub.slice(0, 80)}: fleet - evergauge`;
}

async function loadNodes() {
  const found = await ask("/v1/nodes");
  model.setWall(found.as_of);
  setHub({ hub: found.hub, hub_run: found.hub_run, suspicion: found.suspicion });
  tellStates(model.whole(found.nodes));
  lastEvent = performance.now();
  draw();
}

async function loadChanges() {
  const found = await ask("/v1/changes");
  model.change(found.changes, true);
  model.changesLeftOut = found.left_out;
  drawChanges();
}

async function loadHeat() {
  if (isHidden("overview")) return;
  const { metric, rows } = choice;
  const found = await ask(`/v1/heat?metric=${metric}&limit=${rows}`);
  if (metric === choice.metric && rows === choice.rows) heat.update(found);
}

async function loadWorkers() {
  if (isHidden("workers")) return;
  const query = new URLSearchParams({ order: "load", limit: choice.all ? WORKERS_ALL : WORKERS_FEW });
  for (const [key, value] of [["model", choice.model], ["state", choice.load], ["node", choice.on]]) if (value) query.set(key, value);
  let found;
  try {
    found = await ask(`/v1/workers?${query}`);
  } catch (failure) {
    $("worker-count").textContent = `The hub gave no answer (${failure.message}); it is asked again. The rows are those of the last one.`;
    return;
  }
  workersAt = performance.now();
  workers = { rows: taken(found.workers), found: found.found, excluded: found.excluded };
  setHub({ hub: found.hub, suspicion: found.suspicion });
  drawWorkers();
}

const loadDetail = () => (isHidden("detail") ? null : detail.load(place()));

// What fails is asked again by its own clock; a person sees it at the state of the view.
const quietly = (load) => () => Promise.resolve(load()).catch(() => {});
const isHidden = (id) => document.hidden || $(id).hidden;

function place() {
  if (!choice.unit) return { node: choice.node, unit: "" };
  const cut = choice.unit.indexOf("/");
  return { node: choice.unit.slice(0, cut), unit: choice.unit.slice(cut + 1) };
}

// ---- views ---------------------------------------------------------------------------------------

const openNode = (node) => go({ node, unit: "" });
const strip = new Strip({ open: openNode, list: (state) => go({ view: "nodes", state, node: "", unit: "", sort: "" }), silent: (row) => model.silent(row) });
const heat = new HeatMap({
  open: openNode,
  choose: (chosen) => {
    Object.assign(choice, chosen);
    writeAddress();
    heat.showRows(choice.rows);
    quietly(loadHeat)();
  },
});
const detail = new Detail({ root: $("detail"), ask, model, sort: { key: "cpu", isDescending: true }, onSort: () => {} });

function show() {
  const shown = choice.node || choice.unit ? "detail" : choice.view;
  for (const id of ["overview", "nodes", "workers", "detail"]) $(id).hidden = id !== shown;
  for (const button of $("views").children) button.setAttribute("aria-pressed", String(button.dataset.view === shown));
  $("search").value = choice.q;
  heat.showRows(choice.rows);
  if (shown === "nodes") makeFilters();
  if (shown === "workers") makeWorkerFilters();
  if (shown !== "detail") detail.wanted = "";
  tables.nodes.setSort(sortOf("nodes", { key: "worst", isDescending: true }));
  tables.workers.setSort(sortOf("workers", { key: "waiting", isDescending: true }));
  tables.nodes.filter((row) => !choice.state || row.state === choice.state);
  search();
  for (const load of [loadHeat, loadWorkers, loadDetail]) quietly(load)();
  draw();
}

function makeFilters() {
  const states = [["", "any"], ...STATES.map((state) => [state, WORDS[state]])];
  $("node-filters").replaceChildren(
    select("State", states, choice.state, (state) => {
      choice.state = state;
      writeAddress();
      tables.nodes.filter((row) => !state || row.state === state);
      drawNodes();
    }),
    element("span", { class: "muted count", id: "node-count" }),
  );
}

function makeWorkerFilters() {
  const typed = (label, key, hint) => element("label", {}, label, element("input", { class: "field", value: choice[key], placeholder: hint, autocomplete: "off", spellcheck: "false", id: `filter-${key}`, onchange: (event) => filterWorkers({ [key]: event.target.value.trim() }) }));
  $("worker-filters").replaceChildren(
    typed("Model", "model", "any model"),
    typed("Node", "on", "any node"),
    select("State", [["", "any"], ["idle", "idle"], ["busy", "busy"], ["unknown", "unknown"]], choice.load, (load) => filterWorkers({ load })),
    element("button", { type: "button", class: "button", id: "all-workers", hidden: true, onclick: () => filterWorkers({ all: choice.all ? "" : "yes" }) }),
    element("span", { class: "muted count", id: "worker-count" }),
  );
}

function filterWorkers(changes) {
  Object.assign(choice, changes);
  writeAddress();
  quietly(loadWorkers)();
}

// ---- drawing -------------------------------------------------------------------------------------

let isDrawing = false;
function draw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    drawTop();
    if (document.hidden) return;
    if (!$("overview").hidden) drawOverview();
    if (!$("nodes").hidden) drawNodes();
  });
}

function drawTop() {
  const counts = model.states();
  const silent = counts.stale + counts.late;
  const health = $("health");
  const [kind, text] = !model.wall ? ["", "connecting"] : counts.stale ? ["error", `${counts.stale} silent`] : counts.late ? ["warning", `${counts.late} late`] : model.nodes.size ? ["good", silent ? "" : "all present"] : ["", "no nodes yet"];
  health.className = `pill ${kind}`;
  health.textContent = counts.never_seen + counts.gone && kind === "good" ? `${counts.fresh} fresh` : text;
  const suspicion = $("suspicion");
  suspicion.hidden = !about.suspicion;
  if (about.suspicion) {
    const isCalm = about.suspicion.startsWith("the hub has just begun");
    suspicion.className = `suspicion${isCalm ? " calm" : ""}`;
    suspicion.replaceChildren(element("strong", { text: isCalm ? "No verdicts yet: " : "The hub suspects itself: " }), about.suspicion);
  }
  drawState();
}

function drawState() {
  const seconds = (performance.now() - lastEvent) / 1000;
  const state = $("state");
  const isOld = seconds > OLD_SECONDS;
  const [kind, text] = link === "waiting" ? ["error", `no connection, view is ${span(seconds)} old`] : link === "polling" ? ["warning", `asking, view is ${span(seconds)} old`] : isOld ? ["warning", `view is ${span(seconds)} old`] : ["good", `live, ${seconds < 1.5 ? "1 s" : span(seconds)} old`];
  document.body.classList.toggle("live", kind === "good");
  if (state.textContent !== text) state.textContent = text;
  state.className = `pill ${kind}`;
  state.title = `What hub ${about.hub} knows; a number is a second old at best`;
}

// The order is the model's own: silent ones first, then those that wait the most.
const worst = new DataTable({
  caption: "The worst nodes now",
  empty: "No node has reported yet.",
  identify: (row) => row.node,
  sort: "place",
  rowsMax: WORST_MAX,
  columns: [
    { key: "host", title: "Node", text: (row) => row.host.slice(0, 120), cell: (row) => element("a", { href: nodeLink(row.node), class: "host", text: row.host.slice(0, 120) }) },
    { key: "place", title: "State", text: (row) => row.state, value: (row) => -row.place, cell: (row) => stateWord(row.state) },
    { key: "pressure", title: "Waits", about: "The worst of its pressures", number: true, text: (row) => percent(worstPressure(row)), value: worstPressure },
    { key: "cpu", title: "CPU", number: true, text: (row) => percent(cpuShare(row)), value: cpuShare },
    { key: "memory", title: "Memory", number: true, text: (row) => percent(memoryShare(row)), value: memoryShare },
    { key: "units", title: "Units", number: true, text: (row) => (row.units === null ? NONE : String(row.units)), value: (row) => row.units },
    { key: "conditions", title: "Conditions", number: true, text: (row) => String(row.conditions.length), value: (row) => row.conditions.length },
  ],
});

function drawOverview() {
  const counts = model.states();
  const rows = model.worstFirst();
  drawVitals(counts);
  strip.update(rows, counts);
  $("strip-about").textContent = counted(rows.length, "node");
  drawSilent(rows);
  const few = rows.slice(0, WORST_MAX);
  few.forEach((row, place) => {
    row.place = place;
  });
  worst.update(few);
  worst.more.hidden = true;
}

const vitals = new Map();
function vital(id, title, now, of, share = null, high = Infinity) {
  let made = vitals.get(id);
  if (!made) {
    made = { now: element("p", { class: "now" }), of: element("p", { class: "of" }), bar: element("i") };
    made.meter = element("div", { class: "meter", "aria-hidden": "true" }, made.bar);
    $("vitals").append(element("div", { class: "vital", id: `vital-${id}` }, element("h2", { text: title }), made.now, made.of, made.meter));
    vitals.set(id, made);
  }
  made.now.textContent = now;
  made.of.textContent = of;
  made.meter.hidden = share === null;
  made.bar.className = share !== null && share >= high ? "high" : "";
  made.bar.style.width = `${Math.min(100, (share ?? 0) * 100).toFixed(1)}%`;
}

function drawVitals(counts) {
  const sums = model.totals();
  const known = (count) => (count < sums.present ? `, ${sums.present - count} nodes unknown` : "");
  const others = STATES.filter((state) => state !== "fresh" && counts[state]).map((state) => `${counts[state]} ${WORDS[state]}`);
  vital("nodes", "Nodes that beat", String(counts.fresh), others.length ? others.join(", ") : `of ${model.nodes.size}, nobody is silent`, model.nodes.size ? counts.fresh / model.nodes.size : null);
  vital("cpu", "CPU in use", sums.cpuKnown ? percent(sums.cpu / sums.cpus) : "unknown", sums.cpuKnown ? `${number(sums.cpu)} of ${sums.cpus} cores${known(sums.cpuKnown)}` : "no node says it", sums.cpuKnown ? sums.cpu / sums.cpus : null, 0.9);
  vital("memory", "Memory in use", sums.memoryKnown ? percent(sums.memory / sums.memoryAll) : "unknown", sums.memoryKnown ? `${bytes(sums.memory)} of ${bytes(sums.memoryAll)}${known(sums.memoryKnown)}` : "no node says it", sums.memoryKnown ? sums.memory / sums.memoryAll : null, 0.9);
  vital("pressure", "Waits the most", sums.worst ? percent(sums.worst.pressure) : "unknown", sums.worst ? `on ${sums.worst.row.host.slice(0, 60)}` : "no node says it", sums.worst ? sums.worst.pressure : null, 0.2);
  vital("units", "Units", sums.unitsKnown ? String(sums.units) : "unknown", `on nodes that are present${known(sums.unitsKnown)}`);
  vital("workers", "Workers", sums.unitsKnown ? String(sums.workers) : "unknown", "serve a model, or are workloads");
}

const unitsThere = (row) => (row.units === null ? "its units are not known" : `${counted(row.units, "unit")} there`);
let silentText = "";
function drawSilent(rows) {
  const silent = rows.filter((row) => row.state === "stale" || row.state === "late").sort((one, other) => STATES.indexOf(one.state) - STATES.indexOf(other.state) || (model.silent(other) ?? 0) - (model.silent(one) ?? 0));
  const asleep = rows.filter((row) => row.state === "never_seen").length;
  const none = $("silent-none");
  none.hidden = silent.length > 0;
  none.textContent = !model.wall ? "…" : rows.length - asleep ? "Nobody: every node beats, or has left on purpose." : "No node has reported yet.";
  $("silent-about").textContent = silent.length ? `${counted(silent.length, "node")}, the longest first` : "";
  const shown = silent.slice(0, SILENT_MAX);
  const text = shown.map((row) => `${row.node} ${row.state} ${row.host} ${row.problem} ${span(model.silent(row))}`).join("\n");
  if (text !== silentText) {
    silentText = text;
    $("silents").classList.toggle("many", silent.length > 6);
    $("silents").replaceChildren(...shown.map((row) => {
      const seconds = model.silent(row);
      const seen = row.last_seen ? `last seen ${moment(Date.parse(row.last_seen) / 1000)}` : "never seen";
      return element("li", {}, mark(row.state), element("a", { class: "host", href: nodeLink(row.node), text: row.host.slice(0, 300), title: row.host }), element("span", { class: `since ${row.state === "stale" ? "bad" : "warn"}`, text: seconds === null ? WORDS[row.state] : `${WORDS[row.state]} for ${span(seconds)}` }), element("span", { class: "why", text: `${seen}; ${unitsThere(row)}${row.problem ? `; ${row.problem.slice(0, 300)}` : ""}` }));
    }));
  }
  $("silent-more").hidden = silent.length <= shown.length;
  $("silent-more").textContent = `and ${silent.length - shown.length} more`;
}

function drawChanges(fresh = []) {
  const list = $("changes");
  $("changes-about").textContent = model.changes.length ? `the newest ${model.changes.length}${model.changesLeftOut ? `, ${model.changesLeftOut} more before` : ""}` : "";
  const isNew = new Set(fresh);
  list.replaceChildren(...(model.changes.length ? model.changes.map((each) => line(each, isNew.has(each))) : [element("li", { class: "muted", text: "Nothing yet, since the hub began." })]));
}

function line(each, isNew) {
  const host = element("a", { class: "host", href: nodeLink(each.node), text: each.host.slice(0, 120) });
  const unit = each.unit === null ? null : element("a", { class: "name", href: unitLink(each.node, each.unit), text: each.name.slice(0, 200) });
  const [sign, style, ...what] = {
    started: ["+", "started", unit, ` (${each.kind}) started on `, host],
    ended: ["−", "ended", element("b", { class: "name", text: (each.name ?? "").slice(0, 200) }), ` (${each.kind}) ended on `, host],
    removed: ["−", "ended", element("b", { class: "name", text: each.host.slice(0, 120) }), " was taken out of the fleet"],
    state: ["", each.state === "stale" ? "alarm" : "", host, each.was === null ? (each.state === "never_seen" ? " has joined" : ` is ${WORDS[each.state] ?? each.state}`) : ` is ${WORDS[each.state] ?? each.state}, was ${WORDS[each.was] ?? each.was}`],
  }[each.change] ?? ["", "", host, ` ${each.change}`];
  const lead = each.change === "state" ? mark(each.state) : element("span", { class: "sign", "aria-hidden": "true", text: sign });
  return element("li", { class: `${style}${isNew ? " new" : ""}` }, element("time", { datetime: each.at, text: moment(Date.parse(each.at) / 1000) }), element("span", { class: "what" }, lead, " ", ...what));
}

function drawNodes() {
  tables.nodes.update([...model.nodes.values()]);
  if ($("node-count")) $("node-count").textContent = `${tables.nodes.shown.length} of ${counted(model.nodes.size, "node")} at hub ${about.hub.slice(0, 60)}`;
}

function drawWorkers() {
  tables.workers.update(workers.rows);
  const excluded = Object.entries(workers.excluded).map(([reason, count]) => `${count} ${reason.replace(/_/g, " ")}`);
  const count = $("worker-count");
  if (!count) return;
  count.textContent = `${tables.workers.shown.length} of ${workers.found} that fit${excluded.length ? `; left out: ${excluded.join(", ")}` : ""}, hub ${about.hub.slice(0, 60)}`;
  const all = $("all-workers");
  all.hidden = workers.found <= WORKERS_FEW;
  all.textContent = choice.all ? `Only the first ${WORKERS_FEW}` : `Load ${Math.min(workers.found, WORKERS_ALL)}`;
}

// ---- what comes ----------------------------------------------------------------------------------

function onEvent(name, data) {
  lastEvent = performance.now();
  if (name === "nodes") {
    tellStates(data.whole ? model.whole(data.nodes) : model.apply(data.nodes));
    draw();
  } else if (name === "hub") {
    if (about.suspicion !== data.suspicion && data.suspicion) tell(data.suspicion);
    if (about.hub_run && about.hub_run !== data.hub_run) again();
    setHub(data);
    draw();
  } else if (name === "change") {
    const fresh = model.change([data]);
    if (fresh.length) drawChanges(fresh);
  } else if (name === "unit") {
    if (!isHidden("workers")) soon(loadWorkers);
    if (!isHidden("detail") && data.node === place().node) soon(loadDetail);
  } else if (name === "gone") {
    model.gone(data.node);
    draw();
  } else if (name === "reset" || name === "dropped") again();
}

// Many starts at once are one question. One without an answer is asked again: a stream that lives tells only what is new.
const waiting = new Map();
function soon(load, after = SOON_MS) {
  if (waiting.has(load)) return;
  waiting.set(load, setTimeout(() => {
    waiting.delete(load);
    Promise.resolve(load()).catch(() => soon(load, AGAIN_MS * (1 + Math.random())));
  }, after));
}

function again() {
  for (const load of [loadNodes, loadChanges, loadHeat]) soon(load);
}

let poll = 0;
function onState(state) {
  if (state !== link) tell({ live: "Live", waiting: "The connection to the hub is lost; it is tried again", polling: "No stream is free; the page asks every few seconds" }[state]);
  if (state === "live" && link === "waiting" && model.wall) again();
  link = state;
  clearInterval(poll);
  if (state === "polling") poll = setInterval(quietly(() => document.hidden || Promise.all([loadNodes(), loadChanges()])), POLL_MS);
  drawState();
}

// Only changes of a state are told aloud, and many at once in one sentence.
function tell(sentence) {
  $("told").textContent = sentence;
}

function tellStates(rows) {
  if (!rows.length) return;
  if (rows.length <= 3) return tell(rows.map((row) => `${row.host.slice(0, 80)} is ${WORDS[row.state] ?? row.state}`).join("; "));
  const counts = new Map();
  for (const row of rows) counts.set(row.state, (counts.get(row.state) ?? 0) + 1);
  return tell([...counts].map(([state, count]) => `${count} nodes are ${WORDS[state] ?? state} now`).join("; "));
}

// ---- a person ------------------------------------------------------------------------------------

function search() {
  tables.nodes.search(choice.q);
  tables.workers.search(choice.q);
  if (!$("nodes").hidden) drawNodes();
  if (!$("workers").hidden) drawWorkers();
}

function listenToPerson() {
  $("views").addEventListener("click", (event) => {
    const view = event.target.dataset?.view;
    if (view) go({ view, node: "", unit: "", sort: "" });
  });
  $("skip").addEventListener("click", (event) => {
    event.preventDefault();
    $("main").focus();
  });
  $("search").addEventListener("input", (event) => {
    choice.q = event.target.value;
    // The overview has no rows to search in.
    if (choice.q && (choice.view === "overview" || choice.node || choice.unit)) go({ view: choice.view === "overview" ? "nodes" : choice.view, node: "", unit: "" });
    else writeAddress();
    search();
  });
  addEventListener("keydown", (event) => {
    const isTyping = event.target.matches?.("input, textarea, select");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      $("search").focus();
      $("search").select();
    } else if (event.key === "Escape") {
      if (event.target === $("search") && event.target.value) {
        choice.q = event.target.value = "";
        writeAddress();
        search();
      } else if (isTyping) event.target.blur();
      else if (choice.node || choice.unit) go(choice.unit ? { node: place().node, unit: "" } : { node: "", unit: "" });
      else if (choice.view !== "overview") go({ view: "overview" });
    }
  });
  addEventListener("hashchange", () => {
    readAddress();
    show();
  });
  addEventListener("popstate", () => {
    readAddress();
    show();
  });
  document.addEventListener("visibilitychange", () => document.hidden || show());
}

function begin() {
  readAddress();
  tables = { nodes: nodeTable(model, { key: "worst", isDescending: true }, sorted), workers: workerTable({ key: "waiting", isDescending: true }, sorted) };
  $("strip").append(...strip.parts());
  $("heat").append(...heat.parts());
  worst.root.classList.add("worst");
  $("worst").append(worst.root);
  $("nodes").append(tables.nodes.root);
  $("workers").append(tables.workers.root);
  listenToPerson();
  subscribe(STREAM, ["hub", "nodes", "unit", "gone", "change", "reset", "dropped"], onEvent, onState);
  show();
  for (const load of [loadNodes, loadChanges]) soon(load, 0);
  setInterval(quietly(loadHeat), HEAT_MS);
  setInterval(quietly(loadDetail), DETAIL_MS);
  // Ten thousand rows are some megabytes, and a second of the hub's time on a busy host.
  setInterval(quietly(() => (choice.all && performance.now() - workersAt < WORKERS_ALL_MS ? null : loadWorkers())), WORKERS_MS);
  // Ages and silences grow without any event.
  setInterval(() => {
    drawState();
    if (!isHidden("overview")) drawSilent(model.worstFirst());
    if (!isHidden("nodes")) tables.nodes.draw();
    if (!isHidden("workers")) tables.workers.draw();
  }, 1000);
}

begin();
