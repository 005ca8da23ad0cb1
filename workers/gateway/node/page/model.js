// What the page knows: the host and its units over the time that is shown, in steps. Ticks come one by one and are put at their
// place; a unit without a row in a second in which units were looked at did nothing.

export const UNIT_METRICS = ["cpu", "memory", "io", "pressure", "cache", "bandwidth"];
export const HOST_METRICS = ["cpu", "memory", "io", "pressure_cpu", "pressure_memory", "pressure_io"];
const HELD = new Set(["memory"]);
const MONITORED = new Set(["cache", "bandwidth"]);

// No shorter time is shown, however young the agent is.
const LEAST_SECONDS = 120;

const empty = (count) => new Array(count).fill(null);

export class Model {
  constructor() {
    this.begin = 0;
    this.step = 1;
    this.count = 0;
    this.times = [];
    this.host = {};
    this.units = new Map();
    this.gaps = [];
    this.newest = 0;
    // The last value of everything, for tables and tiles.
    this.hostNow = {};
    this.fillings = new Map();
  }

  // A whole time, as the server gave it.
  load(series, span) {
    this.begin = series.since;
    this.step = series.step;
    const { host, units } = series;
    this.count = host.cpu.length;
    this.times = Array.from({ length: this.count }, (_, place) => this.begin + place * this.step);
    this.span = span;
    this.host = { ...host };
    this.gaps = series.gaps;
    const kept = this.units;
    this.units = new Map();
    for (const unit of units) this.units.set(unit.id, { id: unit.id, name: unit.name, kind: unit.kind, values: unit.values, now: kept.get(unit.id)?.now ?? {}, gone: false });
    // Units that are small in this time are known still, with what they have now.
    for (const unit of kept.values()) if (!this.units.has(unit.id) && !unit.gone) this.units.set(unit.id, { ...unit, values: {} });
    this.fillings.clear();
  }

  apply(tick) {
    const seen = new Set();
    this.put(tick.t, (place, fraction) => {
      for (const metric of HOST_METRICS) this.set(this.host, metric, place, tick.host?.[metric] ?? null, tick.t, fraction, `host ${metric}`);
      for (const row of tick.units) {
        const unit = this.unit(row);
        seen.add(row.id);
        for (const metric of UNIT_METRICS) if (row[metric] !== null && row[metric] !== undefined) this.set(unit.values, metric, place, row[metric], tick.t, fraction, `${row.id} ${metric}`);
      }
      if (!tick.has_units) return;
      for (const unit of this.units.values()) {
        if (seen.has(unit.id) || unit.gone) continue;
        for (const metric of UNIT_METRICS) {
          if (MONITORED.has(metric) || unit.values[metric]?.[place] != null) continue;
          const value = HELD.has(metric) ? unit.now[metric] ?? null : 0;
          if (value !== null) this.set(unit.values, metric, place, value, tick.t, fraction, `${unit.id} ${metric}`);
        }
      }
    });
    if (tick.t >= this.newest) this.remember(tick, seen);
    for (const id of tick.gone) {
      const unit = this.units.get(id);
      if (unit) unit.gone = true;
    }
  }

  remember(tick, seen) {
    if (tick.host) this.hostNow = tick.host;
    for (const row of tick.units) {
      const unit = this.unit(row);
      const now = { ...unit.now };
      for (const metric of UNIT_METRICS) if (row[metric] !== null && row[metric] !== undefined) now[metric] = row[metric];
      unit.now = now;
    }
    if (tick.has_units) for (const unit of this.units.values()) if (!seen.has(unit.id)) unit.now = { ...unit.now, cpu: 0, io: 0, pressure: 0 };
    if (this.newest && tick.t > this.newest + 2) this.gaps = [...this.gaps, { since: this.newest + 1, until: tick.t, reason: "" }];
    this.newest = tick.t;
  }

  unit(row) {
    let unit = this.units.get(row.id);
    if (!unit) {
      unit = { id: row.id, name: row.name, kind: row.kind, values: {}, now: {}, gone: false };
      this.units.set(row.id, unit);
    }
    unit.name = row.name;
    unit.kind ||= row.kind;
    unit.gone = false;
    return unit;
  }

  // Makes room for a second at the end, and lets the oldest go.
  put(second, fill) {
    if (!this.count || second < this.begin) return;
    let place = Math.floor((second - this.begin) / this.step);
    const room = Math.max(Math.ceil(this.span / this.step), 1);
    if (place >= this.count) {
      const more = place - this.count + 1;
      if (more > room) return;
      const less = Math.max(this.count + more - room, 0);
      const shift = (values) => {
        values.push(...empty(more));
        values.splice(0, less);
      };
      for (const values of Object.values(this.host)) shift(values);
      for (const unit of this.units.values()) for (const values of Object.values(unit.values)) shift(values);
      this.count += more - less;
      this.begin += less * this.step;
      this.times = Array.from({ length: this.count }, (_, each) => this.begin + each * this.step);
      place = this.count - 1;
      this.gaps = this.gaps.filter((gap) => gap.until > this.begin);
      if (this.step > 1) this.fillings.clear();
    }
    fill(place, this.step);
  }

  // A step of several seconds shows the mean of those that have come.
  set(values, metric, place, value, second, step, key) {
    const list = (values[metric] ??= empty(this.count));
    if (step === 1 || value === null) {
      if (value !== null) list[place] = value;
      return;
    }
    const filling = this.fillings.get(key) ?? new Map();
    filling.set(second, value);
    this.fillings.set(key, filling);
    let sum = 0;
    for (const each of filling.values()) sum += each;
    list[place] = sum / filling.size;
  }

  // The units with the largest part of a metric in the time that is shown.
  largest(metric, count) {
    const sizes = [];
    for (const unit of this.units.values()) {
      const values = unit.values[metric];
      if (!values) continue;
      let size = 0;
      for (const value of values) if (value !== null) size += value;
      if (size > 0) sizes.push([size, unit]);
    }
    sizes.sort((one, other) => other[0] - one[0] || (one[1].id < other[1].id ? -1 : 1));
    return sizes.slice(0, count).map(([, unit]) => unit);
  }

  // From where on something is known, with a little before it: an agent that has just begun fills the charts.
  get from() {
    const lists = [...Object.values(this.host), ...[...this.units.values()].flatMap((unit) => Object.values(unit.values))];
    let first = this.count;
    for (const values of lists) {
      const place = values.findIndex((value) => value !== null);
      if (place >= 0 && place < first) first = place;
      if (first === 0) break;
    }
    const least = this.count - Math.ceil(LEAST_SECONDS / this.step);
    return this.begin + Math.max(Math.min(first - 2, least), 0) * this.step;
  }

  place(second) {
    const place = Math.floor((second - this.begin) / this.step);
    return place >= 0 && place < this.count ? place : -1;
  }

  // A unit's value at a chosen time, or now.
  valueAt(unit, metric, second) {
    if (second === null) return unit.gone ? null : unit.now[metric] ?? null;
    return unit.values[metric]?.[this.place(second)] ?? null;
  }

  hostAt(metric, second) {
    if (second === null) return this.hostNow[metric] ?? null;
    return this.host[metric]?.[this.place(second)] ?? null;
  }
}

export function mean(values) {
  let sum = 0;
  let count = 0;
  for (const value of values ?? []) {
    if (value !== null) {
      sum += value;
      count += 1;
    }
  }
  return count ? sum / count : null;
}

export function highest(values) {
  let best = -1;
  (values ?? []).forEach((value, place) => {
    if (value !== null && (best < 0 || value > values[best])) best = place;
  });
  return best;
}
