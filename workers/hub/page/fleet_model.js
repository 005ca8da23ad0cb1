// What the page knows of the fleet: a row of each node, by its id, and what has changed. Ages grow by this browser's own
// steady clock from the moment at which a row came; the two clocks of hub and browser are never compared.

export const STATES = ["stale", "late", "never_seen", "gone", "fresh"];
export const WORDS = { fresh: "fresh", late: "late", stale: "stale", gone: "gone", never_seen: "never seen" };
const RANK = Object.fromEntries(STATES.map((state, place) => [state, place]));
const CHANGES_MAX = 100;

export const worstPressure = (row) => {
  const known = [row.pressure_cpu, row.pressure_memory, row.pressure_io].filter((each) => each !== null);
  return known.length ? Math.max(...known) : null;
};
export const cpuShare = (row) => (row.cpu_cores === null || !row.cpus ? null : row.cpu_cores / row.cpus);
export const memoryUsed = (row) => (row.memory_bytes === null || row.memory_available_bytes === null ? null : row.memory_bytes - row.memory_available_bytes);
export const memoryShare = (row) => (memoryUsed(row) === null || !row.memory_bytes ? null : memoryUsed(row) / row.memory_bytes);

export class FleetModel {
  constructor() {
    this.nodes = new Map();
    this.hub = null;
    this.changes = [];
    this.known = new Set();
    this.changesLeftOut = 0;
    this.heardAt = 0;
    this.wall = null;
    this.order = null;
  }

  // All nodes, as a document or the first event of a stream has them.
  whole(rows) {
    const before = this.nodes;
    this.nodes = new Map();
    for (const row of rows) this.keep(row);
    this.order = null;
    return this.turned(rows, before);
  }

  // Rows of some nodes. Gives those whose state is another one now.
  apply(rows) {
    const before = new Map(rows.map((row) => [row.node, this.nodes.get(row.node)]));
    for (const row of rows) this.keep(row);
    this.order = null;
    return this.turned(rows, before);
  }

  turned(rows, before) {
    return rows.filter((row) => before.get(row.node) && before.get(row.node).state !== row.state);
  }

  keep(row) {
    row.at = performance.now();
    row.worst = worstPressure(row) ?? 0;
    row.words = `${row.host} ${row.node} ${WORDS[row.state] ?? row.state} ${row.agent_version ?? ""} ${row.problem ?? ""}`.toLowerCase();
    this.nodes.set(row.node, row);
  }

  gone(install) {
    this.nodes.delete(install);
    this.order = null;
  }

  // Changes, the newest first; the same one may come twice, by a document and by the stream.
  change(rows, isWhole = false) {
    const key = (each) => `${each.at} ${each.change} ${each.node} ${each.unit} ${each.state}`;
    const fresh = [];
    for (const row of rows) {
      if (this.known.has(key(row))) continue;
      this.known.add(key(row));
      fresh.push(row);
    }
    this.changes = [...fresh, ...this.changes].sort((one, other) => (one.at < other.at ? 1 : one.at > other.at ? -1 : 0));
    for (const old of this.changes.splice(CHANGES_MAX)) {
      this.known.delete(key(old));
      if (!isWhole) this.changesLeftOut += 1;
    }
    return fresh;
  }

  // The hub's time of day now: what it said last, and how long ago that was.
  setWall(text) {
    this.wall = { ms: Date.parse(text), at: performance.now() };
  }

  hubNow() {
    return this.wall ? this.wall.ms + (performance.now() - this.wall.at) : Date.now();
  }

  // Seconds since a node's last beat. Null: it is not known.
  silent(row) {
    if (row.state === "fresh") return row.silent_seconds;
    if (row.silent_seconds !== null) return row.silent_seconds + (performance.now() - row.at) / 1000;
    if (row.last_seen !== null) return Math.max(0, (this.hubNow() - Date.parse(row.last_seen)) / 1000);
    return null;
  }

  // A fresh node's beats say that what is shown of it is what it has; any other row grows old.
  age(row) {
    if (row.age_seconds === null) return null;
    return row.state === "fresh" ? row.age_seconds : row.age_seconds + (performance.now() - row.at) / 1000;
  }

  worstFirst() {
    this.order ??= [...this.nodes.values()].sort((one, other) => RANK[one.state] - RANK[other.state] || other.worst - one.worst || (one.host < other.host ? -1 : 1));
    return this.order;
  }

  states() {
    const counts = Object.fromEntries(STATES.map((state) => [state, 0]));
    for (const row of this.nodes.values()) counts[row.state] = (counts[row.state] ?? 0) + 1;
    return counts;
  }

  // Sums over nodes that are present; `of` counts those whose number is known.
  totals() {
    const totals = { cpu: 0, cpus: 0, memory: 0, memoryAll: 0, units: 0, workers: 0, unitsKnown: 0, present: 0, cpuKnown: 0, memoryKnown: 0, worst: null };
    for (const row of this.nodes.values()) {
      if (row.state !== "fresh" && row.state !== "late") continue;
      totals.present += 1;
      if (row.units !== null) {
        totals.unitsKnown += 1;
        totals.units += row.units;
        totals.workers += row.workers;
      }
      if (cpuShare(row) !== null) {
        totals.cpuKnown += 1;
        totals.cpu += row.cpu_cores;
        totals.cpus += row.cpus;
      }
      if (memoryUsed(row) !== null) {
        totals.memoryKnown += 1;
        totals.memory += memoryUsed(row);
        totals.memoryAll += row.memory_bytes;
      }
      const pressure = worstPressure(row);
      if (pressure !== null && (totals.worst === null || pressure > totals.worst.pressure)) totals.worst = { pressure, row };
    }
    return totals;
  }
}
