// This node's page: asks for documents, follows the stream, and puts both where a person looks.

import { bytes, clock, cores, counted, element, moment, NONE, percent, rate, span as spanText } from "/assets/format.js";
import { DataTable } from "/assets/data_table.js";
import { loadLibrary, TimeChart } from "/assets/chart.js";
import { subscribe } from "/assets/stream.js";
import { highest, mean, Model } from "./model.js";
import { verdicts } from "./neighbours.js";

const LINES = 6;
const SPANS = [300, 900, 3600, 21600, 86400];
const POLL_MS = 2000;
const AGAIN_MS = 2000;
const MISSING_SECONDS_MAX = 60;
const HELD_SECONDS = 900;
const RECENT_MAX = 60;
const PROCESSES_LIVE_SECONDS = 3;
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

rate.isBytes = true;
bytes.isBytes = true;

const model = new Model();
// What a person has chosen; it is in the address, so that a link shows the same.
const choice = { t: null, span: 900, unit: "", q: "" };
let about = null;
let agent = null;
let processes = { t: null, processes: [] };
let link = "waiting";
let isLoading = false;
let isSearching = false;
// The last ticks by their second.
const recent = new Map();
let wasReady = null;
let poll = 0;
let trouble = "";
let askedAt = 0;
// The time that was asked for last.
let loaded = [0, 0];

// ---- the address ---------------------------------------------------------------------------------

function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  const t = Number(words.get("t"));
  const span = Number(words.get("span"));
  choice.t = Number.isInteger(t) && t > 0 ? t : null;
  choice.span = SPANS.includes(span) ? span : 900;
  choice.unit = words.get("unit") ?? "";
  choice.q = words.get("q") ?? "";
}

function writeAddress() {
  const words = new URLSearchParams();
  if (choice.t !== null) words.set("t", choice.t);
  if (choice.span !== 900) words.set("span", choice.span);
  if (choice.unit) words.set("unit", choice.unit);
  if (choice.q) words.set("q", choice.q);
  const text = words.toString();
  if (text !== location.hash.slice(1)) history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

// ---- documents -----------------------------------------------------------------------------------

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  const document = await answer.json();
  if (!answer.ok) throw new Error(document.problem ?? answer.statusText);
  return document;
}

// Everything stands on this answer: a page whose gateway is just being started again waits for it.
async function firstAbout() {
  for (;;) {
    try {
      const first = await ask("/v1/node");
      problem("");
      return first;
    } catch (failure) {
      $("host").textContent = "evergauge";
      problem(`The node has not answered yet: ${failure.message}`);
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  }
}

function showAbout() {
  document.title = `${about.host} - evergauge`;
  $("host").textContent = about.host;
  $("version").textContent = `evergauge ${about.version}`;
  charts.cpu.limit = about.cores;
  charts.memory.limit = about.memory_bytes;
  charts.cache.limit = about.cache_bytes;
}

// The chosen time stands in the middle of what is shown, unless it is among the last seconds.
function shownSpan() {
  const now = Math.floor(about.now + (performance.now() - askedAt) / 1000);
  if (choice.t === null || choice.t > now - choice.span * 0.9) return [now - choice.span + 1, now + 1];
  const until = Math.min(choice.t + Math.floor(choice.span / 2), now + 1);
  return [until - choice.span, until];
}

async function loadSeries() {
  if (isLoading) return;
  isLoading = true;
  let failed = false;
  clearTimeout(loadSeries.timer);
  document.body.setAttribute("aria-busy", "true");
  try {
    askedAt = performance.now();
    const { now, since: held, older } = await ask("/v1/node");
    about.now = now;
    const [since, until] = shownSpan();
    loaded = [since, until];
    const path = `/v1/node/series?since=${since}&until=${until}`;
    // What is at hand is shown at once; older rows are read from stored files, which takes seconds.
    if (until > held) take(await ask(`${path}&at_hand=true`));
    if (since < held - MISSING_SECONDS_MAX && (older || choice.span > HELD_SECONDS)) {
      isSearching = true;
      draw();
      take(await ask(path));
    }
    problem("");
  } catch (failure) {
    failed = true;
    problem(`The lines could not be read: ${failure.message}`);
  } finally {
    isLoading = isSearching = false;
    document.body.removeAttribute("aria-busy");
  }
  draw();
  if (failed) {
    // A stream that lives tells only what is new.
    loadSeries.timer = setTimeout(loadSeries, AGAIN_MS);
    return;
  }
  const wanted = shownSpan();
  // Something else was chosen meanwhile.
  if (wanted[0] !== loaded[0] && (choice.t !== null || wanted[1] - wanted[0] !== loaded[1] - loaded[0])) loadSeries();
}

// Seconds that came while older rows were read.
function take(series) {
  model.load(series, choice.span);
  if (choice.t === null) for (const tick of recent.values()) model.apply(tick);
  draw();
}

async function loadProcesses() {
  if (choice.t === null) return;
  const wanted = choice.t;
  try {
    const found = await ask(`/v1/node/processes?at=${wanted}`);
    if (choice.t === wanted) showProcesses(found);
  } catch (failure) {
    if (choice.t === wanted) $("processes-about").textContent = failure.message;
  }
}

async function loadNeighbours() {
  const [since, until] = loaded;
  $("look").disabled = true;
  $("neighbours-about").textContent = "Looking through the stored rows; it takes some seconds.";
  $("verdicts").replaceChildren();
  try {
    const answer = await ask(`/v1/node/neighbours?since=${since}&until=${until}`);
    $("verdicts").replaceChildren(...verdicts(answer, pin, (found) => model.units.get(found.unit)?.name ?? found.name));
    const found = answer.victims.length ? `${counted(answer.victims.length, "unit")} suffered` : "no unit waited, was throttled or lost cache clearly more than is usual for it: no culprit seen";
    $("neighbours-about").textContent = `${moment(since)} to ${moment(until)}: ${found}; ${counted(answer.looked.units, "unit")} looked at.`;
  } catch (failure) {
    $("neighbours-about").textContent = `${failure.message}`;
  } finally {
    $("look").disabled = false;
  }
}

function problem(sentence) {
  trouble = sentence;
  drawState();
  tell(sentence);
}

// Only changes of a state are told aloud.
let toldBefore = "";
function tell(sentence) {
  if (sentence !== toldBefore) {
    toldBefore = sentence;
    $("told").textContent = sentence;
  }
}

// ---- choosing ------------------------------------------------------------------------------------

function pin(second) {
  choice.t = second;
  writeAddress();
  const [since, until] = loaded;
  if (second < since || second >= until) loadSeries();
  clearTimeout(pin.timer);
  pin.timer = setTimeout(loadProcesses, 250);
  draw();
}

function live() {
  const wasPast = choice.t !== null;
  choice.t = null;
  writeAddress();
  if (wasPast) {
    showProcesses(processes);
    loadSeries();
  }
  draw();
}

function focusUnit(id) {
  choice.unit = choice.unit === id ? "" : id;
  writeAddress();
  draw();
}

// ---- charts --------------------------------------------------------------------------------------

const CHARTS = [
  { id: "cpu", title: "CPU", about: "cores, by unit", format: cores, host: "cpu", least: 0.1, verb: "used the most CPU" },
  { id: "memory", title: "Memory", about: "by unit", format: bytes, host: "memory", least: 1 << 20, verb: "held the most memory" },
  { id: "io", title: "I/O", about: "read and written, by unit", format: rate, host: "io", least: 1024, verb: "read and wrote the most" },
  { id: "pressure", title: "Pressure", about: "time in which threads waited, by unit", format: percent, host: null, least: 0.05, verb: "waited the most" },
  { id: "cache", title: "Last-level cache", about: "held, by unit", format: bytes, host: null, least: 1 << 20, verb: "held the most cache" },
  { id: "bandwidth", title: "Memory bandwidth", about: "by unit", format: rate, host: null, least: 1 << 20, verb: "moved the most" },
];
const charts = {};

function makeCharts() {
  for (const each of CHARTS) {
    const chart = new TimeChart({ ...each, pin, focus: focusUnit, remedy: about.charts_remedy });
    chart.least = each.least;
    charts[each.id] = chart;
    $("charts").append(chart.root);
  }
}

// Lines keep their colour while they are shown: a place is given once, and taken back when its unit is no longer among the largest.
const places = new Map();
function linesOf(each) {
  const units = model.largest(each.id, LINES);
  const focused = choice.unit && model.units.get(choice.unit);
  if (focused && focused.values[each.id] && !units.includes(focused)) {
    units.pop();
    units.push(focused);
  }
  const kept = places.get(each.id) ?? new Map();
  const used = new Set(units.map((unit) => kept.get(unit.id)).filter((place) => place !== undefined));
  const given = new Map();
  for (const unit of units) {
    let place = kept.get(unit.id);
    if (place === undefined) {
      place = [...Array(LINES).keys()].find((free) => !used.has(free)) ?? 0;
      used.add(place);
    }
    given.set(unit.id, place);
  }
  places.set(each.id, given);
  const lines = units.map((unit) => ({ id: unit.id, name: unit.name, values: unit.values[each.id], index: given.get(unit.id), faded: Boolean(focused) && unit.id !== choice.unit }));
  if (each.host && model.host[each.host]) lines.unshift({ id: "", name: "whole host", values: model.host[each.host], index: -1, faded: false });
  if (each.id === "pressure") lines.unshift(...["cpu", "memory", "io"].filter((name) => !units.length && model.host[`pressure_${name}`]).map((name, index) => ({ id: "", name: { cpu: "host: CPU", memory: "host: memory", io: "host: I/O" }[name], values: model.host[`pressure_${name}`], index, faded: false })));
  return lines;
}

function summaryOf(each, lines) {
  const strong = (text) => element("strong", { text });
  const units = lines.filter((line) => line.id);
  const words = [];
  const time = spanText(model.begin + model.count * model.step - model.from);
  if (units.length) {
    const largest = units.reduce((one, other) => ((mean(one.values) ?? 0) >= (mean(other.values) ?? 0) ? one : other));
    const at = highest(largest.values);
    words.push(strong(largest.name), ` ${each.verb} in ${time}: ${each.format(mean(largest.values))} on average, at most ${each.format(largest.values[at])} at ${clock(model.times[at])}. `);
  } else if (each.id === "cache" || each.id === "bandwidth") {
    words.push("No unit has a monitoring group here: this needs resctrl, which shared caches of servers have. ");
  } else if (lines.length) {
    words.push("No unit was measured in this time; the host's own numbers are shown. ");
  } else {
    words.push("Nothing was measured in this time. ");
  }
  if (each.host && model.host[each.host]) {
    const at = highest(model.host[each.host]);
    const of = { cpu: about.cores && ` of ${about.cores}`, memory: about.memory_bytes && ` of ${bytes(about.memory_bytes)}` }[each.id] || "";
    if (at >= 0) words.push(`The whole host: at most ${each.format(model.host[each.host][at])}${of}. `);
  }
  if (model.gaps.length) {
    const reasons = [...new Set(model.gaps.map((gap) => gap.reason.replace(/_/g, " ")).filter(Boolean))];
    words.push(`${counted(model.gaps.length, "gap")}, hatched${reasons.length ? ` (${reasons.join(", ")})` : ""}.`);
  }
  return words;
}

function drawCharts() {
  const { from } = model;
  for (const each of CHARTS) {
    const chart = charts[each.id];
    const lines = linesOf(each);
    chart.pinned = choice.t;
    chart.floor = each.id === "cpu" ? Math.min(about.cores ?? 1, 1) : 0;
    chart.update({ times: model.times, step: model.step, from, lines, gaps: model.gaps }, summaryOf(each, lines));
  }
}

// ---- tiles ---------------------------------------------------------------------------------------

const VITALS = [
  { id: "cpu", title: "CPU", now: (at) => cores(at("cpu")), of: () => `of ${about.cores ?? NONE} cores`, spark: () => model.host.cpu },
  { id: "memory", title: "Memory in use", now: (at) => bytes(at("memory")), of: (at) => `of ${bytes(about.memory_bytes)}${about.memory_bytes && at("memory") !== null ? ` · ${percent(at("memory") / about.memory_bytes)}` : ""}`, spark: () => model.host.memory },
  { id: "io", title: "Disk I/O", now: (at) => rate(at("io")), of: () => "read and written", spark: () => model.host.io },
  { id: "pressure", title: "Pressure", now: (at) => percent(worstPressure(at)), of: (at) => `CPU ${percent(at("pressure_cpu"))} · memory ${percent(at("pressure_memory"))} · I/O ${percent(at("pressure_io"))}`, spark: () => model.times.map((_, place) => worstPressure((name) => model.host[name]?.[place] ?? null)) },
  { id: "units", title: "Units", now: () => String([...model.units.values()].filter((unit) => !unit.gone).length), of: () => busy(), spark: () => null },
];

function busy() {
  const units = [...model.units.values()].filter((unit) => (model.valueAt(unit, "cpu", choice.t) ?? 0) >= 0.01);
  const kinds = new Map();
  for (const unit of model.units.values()) if (!unit.gone && unit.kind) kinds.set(unit.kind, (kinds.get(unit.kind) ?? 0) + 1);
  return [`${units.length} busy`, ...[...kinds].sort((one, other) => other[1] - one[1]).map(([kind, count]) => counted(count, kind))].join(" · ");
}

function worstPressure(at) {
  const known = ["pressure_cpu", "pressure_memory", "pressure_io"].map(at).filter((value) => value !== null);
  return known.length ? Math.max(...known) : null;
}

function makeVitals() {
  for (const each of VITALS) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", "spark");
    svg.setAttribute("viewBox", "0 0 100 30");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    each.paths = ["area", "edge"].map((name) => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", name);
      svg.append(path);
      return path;
    });
    each.nowNode = element("p", { class: "now" });
    each.ofNode = element("p", { class: "of" });
    each.svg = svg;
    $("vitals").append(element("div", { class: "vital", id: `vital-${each.id}` }, element("h2", { text: each.title }), each.nowNode, each.ofNode, svg));
  }
}

function drawVitals() {
  const at = (metric) => model.hostAt(metric, choice.t);
  for (const each of VITALS) {
    each.nowNode.textContent = each.now(at);
    const of = each.of(at);
    each.ofNode.textContent = of;
    each.ofNode.title = of;
    const values = each.spark();
    each.svg.toggleAttribute("hidden", !values);
    if (values) {
      const begin = values.findIndex((value) => value !== null);
      const [area, edge] = spark(values.slice(Math.max(-150, Math.min(begin - values.length, -40))));
      each.paths[0].setAttribute("d", area);
      each.paths[1].setAttribute("d", edge);
    }
  }
}

// Pieces between gaps are lines of their own.
function spark(values) {
  const top = Math.max(...values.map((value) => value ?? 0), 1e-9) * 1.1;
  const x = (place) => ((place / Math.max(values.length - 1, 1)) * 100).toFixed(2);
  const y = (value) => (29 - (value / top) * 27).toFixed(2);
  let edge = "";
  let area = "";
  let begin = -1;
  values.forEach((value, place) => {
    if (value === null) {
      if (begin >= 0) area += `L${x(place - 1)} 30L${x(begin)} 30Z`;
      begin = -1;
      return;
    }
    const point = `${x(place)} ${y(value)}`;
    edge += `${begin < 0 ? "M" : "L"}${point}`;
    area += `${begin < 0 ? "M" : "L"}${point}`;
    if (begin < 0) begin = place;
  });
  if (begin >= 0) area += `L${x(values.length - 1)} 30L${x(begin)} 30Z`;
  return [area, edge];
}

// ---- tables --------------------------------------------------------------------------------------

const nameButton = (id, name) => element("button", { type: "button", text: name, title: `${name}: show it in every chart`, onclick: () => focusUnit(id) });
const unitTable = new DataTable({
  caption: "Units and what they use",
  empty: "No unit is known. Units are pods, services, scopes and workloads; `agentctl doctor` says what this host lets the agent see.",
  identify: (row) => row.id,
  sort: "cpu",
  columns: [
    { key: "name", title: "Unit", text: (row) => row.name, cell: (row) => nameButton(row.id, row.name) },
    { key: "kind", title: "Kind", text: (row) => row.kind, class: "muted" },
    { key: "cpu", title: "CPU", about: "Sort by CPU, in cores", number: true, text: (row) => cores(row.cpu), value: (row) => row.cpu },
    { key: "memory", title: "Memory", number: true, text: (row) => bytes(row.memory), value: (row) => row.memory },
    { key: "io", title: "I/O", number: true, text: (row) => rate(row.io), value: (row) => row.io },
    { key: "pressure", title: "Pressure", number: true, text: (row) => percent(row.pressure), value: (row) => row.pressure },
    { key: "cache", title: "Cache", number: true, text: (row) => bytes(row.cache), value: (row) => row.cache },
    { key: "bandwidth", title: "Bandwidth", number: true, text: (row) => rate(row.bandwidth), value: (row) => row.bandwidth },
  ],
  rowsMax: 100,
  onRow: (line, row) => line.toggleAttribute("data-focus", row.id === choice.unit),
});
const processTable = new DataTable({
  caption: "The processes that hold the most",
  empty: "No process is known at this time.",
  identify: (row) => row.pid,
  sort: "cpu",
  columns: [
    { key: "command", title: "Command", text: (row) => row.command },
    { key: "pid", title: "PID", number: true, text: (row) => String(row.pid), value: (row) => row.pid },
    { key: "unit", title: "Unit", text: (row) => row.unit_name || NONE, class: "name" },
    { key: "cpu", title: "CPU", number: true, text: (row) => cores(row.cpu), value: (row) => row.cpu },
    { key: "memory", title: "Memory", number: true, text: (row) => bytes(row.memory), value: (row) => row.memory },
    { key: "io", title: "I/O", about: "Sort by what it read and wrote in one tick", number: true, text: (row) => bytes(row.io), value: (row) => row.io },
    { key: "threads", title: "Threads", number: true, text: (row) => (row.threads === null ? NONE : String(row.threads)), value: (row) => row.threads },
  ],
  rowsMax: 20,
});
const workerTable = new DataTable({
  caption: "Workers of the agent",
  empty: "The supervisor does not answer.",
  identify: (row) => row.name,
  sort: "restarts",
  columns: [
    { key: "name", title: "Worker", text: (row) => row.name },
    { key: "state", title: "State", text: (row) => row.state },
    { key: "restarts", title: "Restarts", number: true, text: (row) => String(row.restarts), value: (row) => row.restarts },
    { key: "exit", title: "Last end", text: (row) => row.last_exit ?? NONE, class: "muted" },
    { key: "uptime", title: "Up for", number: true, text: (row) => spanText(row.uptime_seconds), value: (row) => row.uptime_seconds },
    { key: "cpu", title: "CPU", number: true, text: (row) => (row.cpu_percent === null ? NONE : percent(row.cpu_percent / 100)), value: (row) => row.cpu_percent },
    { key: "memory", title: "Memory", about: "Sort by its proportional set size", number: true, text: (row) => bytes(row.memory_bytes), value: (row) => row.memory_bytes },
  ],
});

function drawUnits() {
  const rows = [];
  for (const unit of model.units.values()) {
    if (choice.t === null && unit.gone) continue;
    const row = { id: unit.id, name: unit.name, kind: unit.kind };
    for (const metric of ["cpu", "memory", "io", "pressure", "cache", "bandwidth"]) row[metric] = model.valueAt(unit, metric, choice.t);
    if (choice.t === null || Object.values(row).some((value) => typeof value === "number")) rows.push(row);
  }
  unitTable.update(rows);
  $("units-about").textContent = choice.t === null ? "now" : `at ${moment(choice.t)}, the largest`;
}

function showProcesses(found) {
  processTable.update(found.processes);
  $("processes-about").textContent = found.t === null ? "" : choice.t === null ? "now" : `at ${moment(found.t)}`;
}

// ---- the agent -----------------------------------------------------------------------------------

function showAgent(found) {
  agent = found;
  workerTable.update(found.workers);
  const restarts = found.workers.reduce((sum, worker) => sum + worker.restarts, 0);
  $("workers-about").textContent = found.workers.length ? `${counted(found.workers.length, "worker")}, ${counted(restarts, "restart")}` : "";
  const ready = $("ready");
  const [kind, text] = found.ready === null ? ["error", "no answer"] : found.ready ? ["good", "ready"] : ["error", "not ready"];
  ready.className = `pill ${kind}`;
  ready.textContent = text;
  ready.title = found.reasons.join("; ");
  if (wasReady !== null && wasReady !== found.ready) tell(`The agent is ${text}${found.reasons.length ? `: ${found.reasons.join("; ")}` : ""}`);
  wasReady = found.ready;
  const conditions = $("conditions");
  conditions.hidden = found.conditions.length === 0;
  conditions.replaceChildren(
    ...found.conditions.map((each) =>
      element(
        "article",
        { class: `condition ${each.severity}` },
        element("p", { class: "what" }, `${each.severity === "error" ? "Error" : "Warning"}: ${each.kind.replace(/_/g, " ")}`, element("span", { class: "muted", text: ` · ${each.worker}${each.since ? ` · since ${moment(Date.parse(each.since) / 1000)}` : ""}${each.blocks_ready ? " · the agent is not ready while it holds" : ""}` })),
        element("p", { text: each.detail }),
        each.remedy ? element("p", { class: "remedy", text: each.remedy }) : null,
        element("p", { class: "muted", text: each.runbook }),
      ),
    ),
  );
}

// ---- drawing -------------------------------------------------------------------------------------

let isDrawing = false;
function draw() {
  if (isDrawing || !about) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    drawState();
    if (document.hidden) return;
    drawCharts();
    drawVitals();
    drawUnits();
    drawFocus();
  });
}

function drawState() {
  const state = $("state");
  const isLive = choice.t === null;
  document.body.classList.toggle("live", isLive && link === "live");
  const [kind, text] = trouble ? ["error", "no data"] : !isLive ? ["", moment(choice.t)] : { live: ["good", "live"], waiting: ["warning", "connecting"], polling: ["warning", `asking every ${POLL_MS / 1000} s`] }[link];
  state.className = `pill ${isSearching ? "" : kind}`;
  state.textContent = isSearching ? "reading stored rows" : text;
  state.title = trouble;
  $("back").hidden = isLive;
  for (const button of $("spans").children) button.setAttribute("aria-pressed", String(Number(button.dataset.span) === choice.span));
}

function drawFocus() {
  const unit = choice.unit && model.units.get(choice.unit);
  $("focus").hidden = !choice.unit;
  if (choice.unit) $("focus").replaceChildren(element("span", {}, "Shown in every chart: ", element("strong", { text: unit ? unit.name : choice.unit })), element("button", { type: "button", class: "button", text: "Show all again", onclick: () => focusUnit(choice.unit) }));
}

// ---- what comes ----------------------------------------------------------------------------------

function onEvent(name, data) {
  if (name === "tick") {
    const missed = model.newest && data.t > model.newest + 5;
    model.apply(data);
    recent.delete(data.t);
    recent.set(data.t, data);
    if (recent.size > RECENT_MAX) recent.delete(recent.keys().next().value);
    // After a sleep of the browser, what was missed is asked for.
    if (missed && choice.t === null) loadSeries();
    else draw();
  } else if (name === "processes") {
    processes = data;
    if (choice.t === null) showProcesses(data);
  } else if (name === "agent") showAgent(data);
  else if (choice.t === null) loadSeries();
}

function onState(state) {
  if (state !== link) tell({ live: "Live", waiting: "The connection is lost; it is tried again", polling: "No stream is free; the page asks every two seconds" }[state]);
  link = state;
  clearInterval(poll);
  if (state === "polling") poll = setInterval(askAgain, POLL_MS);
  draw();
}

async function askAgain() {
  if (document.hidden) return;
  try {
    showAgent(await ask("/v1/node/agent"));
    if (choice.t !== null) return problem("");
    processes = await ask("/v1/node/processes");
    showProcesses(processes);
    await loadSeries();
  } catch (failure) {
    problem(failure.message);
  }
}

function listenToPerson() {
  $("spans").addEventListener("click", (event) => {
    const span = Number(event.target.dataset?.span);
    if (!span) return;
    choice.span = span;
    writeAddress();
    loadSeries();
  });
  $("back").addEventListener("click", live);
  $("look").addEventListener("click", loadNeighbours);
  $("search").addEventListener("input", (event) => {
    choice.q = event.target.value;
    writeAddress();
    search();
  });
  addEventListener("keydown", (event) => {
    const isTyping = event.target.matches?.("input, textarea, select");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      $("search").focus();
      $("search").select();
    } else if (event.key === "Escape") {
      if (isTyping && event.target.value) {
        choice.q = event.target.value = "";
        writeAddress();
        search();
      } else if (isTyping) event.target.blur();
      else if (choice.t !== null) live();
      else if (choice.unit) focusUnit(choice.unit);
    }
  });
  addEventListener("hashchange", () => {
    readAddress();
    search();
    loadSeries();
    loadProcesses();
  });
  document.addEventListener("visibilitychange", draw);
}

function search() {
  $("search").value = choice.q;
  unitTable.search(choice.q);
  processTable.search(choice.q);
}

async function begin() {
  readAddress();
  about = await firstAbout();
  askedAt = performance.now();
  makeCharts();
  makeVitals();
  $("units").append(unitTable.root);
  $("processes").append(processTable.root);
  $("workers").append(workerTable.root);
  $("neighbours-about").textContent = `Looks for units that waited, were held back or lost cache, and for the neighbours that rose in the same seconds. In a terminal: ${about.neighbours_command}`;
  listenToPerson();
  search();
  showAbout();
  // Side by side: none of them waits for rows that are read from stored files.
  loadLibrary(about.charts).then((library) => {
    for (const chart of Object.values(charts)) chart.use(library);
  });
  loadSeries();
  subscribe("/v1/stream", ["tick", "processes", "agent", "reset", "dropped"], onEvent, onState);
  if (choice.t !== null) loadProcesses();
}

begin().catch((failure) => {
  $("host").textContent = "evergauge";
  problem(`The page could not begin: ${failure.message}`);
});
