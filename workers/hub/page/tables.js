// The long tables: nodes, workers, and the units of one node.

import { bytes, cores, element, number, percent, rate, span } from "/assets/format.js";
import { cpuShare, memoryShare, STATES, WORDS, worstPressure } from "./fleet_model.js";
import { stateWord } from "./mark.js";
import { VirtualTable } from "./virtual_table.js";

export const nodeLink = (install) => `#${new URLSearchParams({ node: install })}`;
export const unitLink = (install, unit) => `#${new URLSearchParams({ unit: `${install}/${unit}` })}`;
const RANK = Object.fromEntries([...STATES].reverse().map((state, place) => [state, place]));
const known = (write) => (value) => (value === null || value === undefined ? null : write(value));
const column = (key, title, width, write, value, more = {}) => ({ key, title, width, number: true, value, text: (row) => known(write)(value(row)), ...more });
const CLOCK_SECONDS = 1;
const PRESSURE_HIGH = 0.2;

// Silence first, then pressure: what stands first is what is looked for first.
const badness = (row) => (RANK[row.state] ?? 0) * 10 + (worstPressure(row) ?? 0);

export function nodeTable(model, sort, onSort) {
  return new VirtualTable({
    caption: "Nodes",
    empty: "No node fits.",
    identify: (row) => row.node,
    words: (row) => row.words,
    sort,
    onSort,
    columns: [
      { key: "host", title: "Node", width: 190, text: (row) => row.host, value: (row) => row.host, link: (row) => nodeLink(row.node) },
      { key: "worst", title: "State", about: "Sort by state and pressure, the worst first", width: 112, number: false, text: (row) => WORDS[row.state], value: badness, mark: (row) => row.state, make: (row) => stateWord(row.state) },
      { key: "silent", title: "Last beat", width: 106, number: true, about: "Sort by the time since the last beat", value: (row) => model.silent(row), text: (row) => (model.silent(row) === null ? null : row.state === "fresh" ? "now" : `${span(model.silent(row))} ago`), style: (row) => (row.state === "stale" ? "bad" : row.state === "late" ? "warn" : "") },
      column("age", "Age", 76, span, (row) => model.age(row), { about: "Sort by how old the numbers are" }),
      column("cpu", "CPU", 76, percent, cpuShare),
      column("memory", "Memory", 84, percent, memoryShare),
      column("pressure_cpu", "Waits CPU", 96, percent, (row) => row.pressure_cpu, { style: (row) => (row.pressure_cpu >= PRESSURE_HIGH ? "warn" : "") }),
      column("pressure_memory", "Waits mem.", 104, percent, (row) => row.pressure_memory, { style: (row) => (row.pressure_memory >= PRESSURE_HIGH ? "warn" : "") }),
      column("pressure_io", "Waits I/O", 92, percent, (row) => row.pressure_io, { style: (row) => (row.pressure_io >= PRESSURE_HIGH ? "warn" : "") }),
      column("disk", "Disks", 100, rate, (row) => row.disk_bytes_per_second),
      column("network", "Network", 100, rate, (row) => row.network_bytes_per_second),
      column("units", "Units", 70, String, (row) => row.units),
      column("workers", "Workers", 82, String, (row) => row.workers),
      column("gpus", "GPUs", 68, String, (row) => row.gpus),
      column("clock", "Clock", 88, (value) => `${value > 0 ? "+" : ""}${number(value)} s`, (row) => row.clock_offset_seconds, { about: "Sort by the node's clock against the hub's", style: (row) => (Math.abs(row.clock_offset_seconds ?? 0) > CLOCK_SECONDS ? "warn" : "") }),
      column("lost", "Lost", 66, String, (row) => row.lost, { about: "Sort by beats that never came" }),
      { key: "conditions", title: "Conditions", width: 110, number: true, text: (row) => String(row.conditions.length), value: (row) => row.conditions.length, style: (row) => (row.conditions.length ? "warn" : "") },
    ],
  });
}

const unitColumns = (age) => [
  column("cpu", "CPU", 76, cores, (row) => row.cpu_cores, { about: "Sort by CPU, in cores" }),
  column("memory", "Memory", 92, bytes, (row) => row.memory_bytes),
  column("pressure", "Waits", 74, percent, worstPressure, { about: "Sort by the worst of its pressures" }),
  column("throttled", "Throttled", 88, percent, (row) => row.throttled),
  column("io", "I/O", 94, rate, (row) => row.io_bytes_per_second),
  column("cache", "Cache", 84, bytes, (row) => row.cache_bytes),
  column("gpu", "GPU", 70, percent, (row) => row.gpu_busy),
  column("vram", "VRAM", 90, bytes, (row) => row.vram_bytes),
  column("age", "Age", 70, span, age, { about: "Sort by how old the numbers are" }),
];

const ageOf = (row) => (row.age_seconds === null ? null : row.age_seconds + (performance.now() - row.at) / 1000);

export function workerTable(sort, onSort) {
  return new VirtualTable({
    caption: "Workers",
    empty: "No worker fits. A worker is a unit that serves a model, or a workload.",
    identify: (row) => `${row.node}/${row.unit}`,
    words: (row) => row.words,
    sort,
    onSort,
    columns: [
      { key: "name", title: "Worker", width: 220, text: (row) => row.name, value: (row) => row.name, link: (row) => unitLink(row.node, row.unit) },
      { key: "host", title: "Node", width: 140, text: (row) => row.host, value: (row) => row.host, link: (row) => nodeLink(row.node) },
      { key: "model", title: "Model", width: 190, text: (row) => row.served_model ?? row.model, value: (row) => row.served_model ?? row.model },
      { key: "state", title: "State", width: 88, text: (row) => row.state, value: (row) => row.state, style: (row) => (row.state === "unknown" ? "unknown" : "") },
      column("waiting", "Waiting", 80, String, (row) => row.waiting),
      column("running", "Running", 82, String, (row) => row.running),
      column("kv", "KV cache", 88, percent, (row) => row.kv_cache),
      column("free", "VRAM free", 96, bytes, (row) => row.vram_free_bytes),
      ...unitColumns(ageOf),
      column("reserved", "Reserved", 86, String, (row) => row.reserved),
    ],
  });
}

export function unitTable(sort, onSort) {
  return new VirtualTable({
    caption: "Units of this node",
    empty: "Nothing is known to run on this node.",
    identify: (row) => row.unit,
    words: (row) => row.words,
    sort,
    onSort,
    columns: [
      { key: "name", title: "Unit", width: 260, text: (row) => row.name, value: (row) => row.name, link: (row) => unitLink(row.node, row.unit) },
      { key: "kind", title: "Kind", width: 90, text: (row) => row.kind, value: (row) => row.kind },
      { key: "model", title: "Model", width: 150, text: (row) => row.served_model ?? row.model ?? "-", value: (row) => row.served_model ?? row.model },
      ...unitColumns(ageOf),
    ],
  });
}

// Rows as they came, with what is searched in them and when they came.
export function taken(rows) {
  const at = performance.now();
  for (const row of rows) {
    row.at = at;
    row.words = `${row.name} ${row.host} ${row.model ?? ""} ${row.served_model ?? ""} ${row.lora.join(" ")} ${row.engine ?? ""} ${row.namespace ?? ""} ${row.kind} ${row.state}`.toLowerCase();
  }
  return rows;
}

export const choice = (label, options, value, onchange) =>
  element("label", {}, label, element("select", { class: "field", onchange: (event) => onchange(event.target.value) }, ...options.map(([key, text]) => element("option", { value: key, text, selected: key === value }))));
