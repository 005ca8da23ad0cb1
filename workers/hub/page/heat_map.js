// The last hour of the nodes: a row for each, the worst first, a column for each ten seconds. Where there is no value it is hatched,
// and each reason has a hatching of its own. It has a cursor for the keyboard, a summary in words, and a table of its numbers.

import { element, percent } from "/assets/format.js";
import { colour } from "./mark.js";

export const METRICS = { cpu: ["CPU", 1], memory: ["Memory", 1], pressure: ["Pressure", 0.5] };
const REASONS = { 251: "never seen", 252: "gone", 253: "stale: silent", 254: "late", 255: "not known" };
const HUNDRED = 200;
const LABELS = 150;
const AXIS = 18;
const MINUTE_STEPS = 6;

const rowHeight = (count) => (count <= 8 ? 30 : count <= 24 ? 19 : count <= 60 ? 14 : count <= 200 ? 6 : 3);

export function decode(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// The highest known value of some steps; where none is known, the reason of the newest.
export function highest(values, begin, end) {
  let best = -1;
  for (let place = begin; place < end; place += 1) if (values[place] <= HUNDRED && values[place] > best) best = values[place];
  return best >= 0 ? best : values[end - 1];
}

export class HeatMap {
  // `open(node)` is asked for when a person chooses a row, `choose({metric, rows})` when one chooses what is shown.
  constructor({ open, choose }) {
    Object.assign(this, { open, choose });
    this.rows = [];
    this.document = null;
    this.cursor = null;
    this.metrics = element("div", { class: "segments", role: "group", "aria-label": "What the map shows" }, ...Object.entries(METRICS).map(([key, [title]]) => element("button", { type: "button", "data-metric": key, text: title, onclick: () => this.choose({ metric: key }) })));
    this.counts = element("div", { class: "segments", role: "group", "aria-label": "How many nodes the map shows" }, ...[20, 60, 200, 1000].map((count) => element("button", { type: "button", "data-rows": count, text: String(count), title: `The worst ${count} nodes`, onclick: () => this.choose({ rows: count }) })));
    this.summary = element("p", { class: "summary", id: "heat-summary" });
    this.canvas = element("canvas");
    this.box = element("div", { class: "heat", tabindex: "0", role: "slider", "aria-label": "Heat map of nodes and time", "aria-describedby": "heat-summary", "aria-valuemin": "1" }, this.canvas);
    this.said = element("p", { class: "said" });
    this.scale = element("div", { class: "scale" });
    this.table = element("table");
    this.details = element("details", { class: "data" }, element("summary", { text: "The numbers as a table, by minute" }), element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Heat map: table" }, this.table));
    this.details.addEventListener("toggle", () => this.writeTable());
    this.box.addEventListener("keydown", (event) => this.onKey(event));
    this.box.addEventListener("pointermove", (event) => this.point(event));
    this.box.addEventListener("pointerleave", () => document.activeElement !== this.box && this.move(null));
    this.box.addEventListener("click", (event) => {
      this.point(event);
      if (this.cursor) this.open(this.rows[this.cursor.row].node);
    });
    this.box.addEventListener("focus", () => this.cursor ?? this.move({ row: 0, step: this.steps - 1 }));
    new ResizeObserver(() => this.draw()).observe(this.box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  parts() {
    return [
      element("div", { class: "heat-head" }, element("h2", { id: "heat-title", text: "The last hour of the worst nodes" }), element("div", { class: "heat-tools" }, this.metrics, this.counts)),
      this.summary, this.box, this.said, this.scale, this.details,
    ];
  }

  get steps() {
    return this.document?.steps ?? 360;
  }

  update(document) {
    this.document = document;
    this.until = Date.parse(document.as_of);
    this.rows = document.rows.map((row) => ({ ...row, values: decode(row.values) }));
    if (this.cursor && this.cursor.row >= this.rows.length) this.cursor = null;
    for (const button of this.metrics.children) button.setAttribute("aria-pressed", String(button.dataset.metric === document.metric));
    this.draw();
    this.writeSummary();
    this.writeTable();
    this.say();
  }

  showRows(count) {
    for (const button of this.counts.children) button.setAttribute("aria-pressed", String(Number(button.dataset.rows) === count));
  }

  // ---- the picture -----------------------------------------------------------------------------

  draw() {
    const width = this.box.clientWidth;
    if (!width || !this.document) return;
    const ratio = devicePixelRatio || 1;
    this.high = rowHeight(this.rows.length);
    this.left = this.high >= 11 ? Math.min(LABELS, Math.floor(width * 0.3)) : 0;
    const height = Math.max(this.rows.length, 1) * this.high + AXIS;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.height = `${height}px`;
    const ctx = this.canvas.getContext("2d");
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    const room = width - this.left;
    // A column is at least two points wide; several steps in one show the highest of them.
    this.bucket = Math.max(1, Math.ceil(this.steps / Math.floor(room / 2)));
    this.columns = Math.ceil(this.steps / this.bucket);
    this.wide = room / this.columns;
    this.paints = this.makePaints(ctx);
    ctx.fillStyle = colour("--heat-none");
    ctx.fillRect(this.left, 0, room, this.rows.length * this.high);
    this.used = new Set();
    this.rows.forEach((row, number) => this.drawRow(ctx, row, number));
    this.drawAxis(ctx, width);
    this.drawCursor(ctx);
    this.writeScale();
  }

  drawRow(ctx, row, number) {
    const y = number * this.high;
    const gap = this.high > 4 ? 1 : 0;
    let begin = 0;
    let before = null;
    const flush = (end) => {
      if (before === null) return;
      ctx.fillStyle = this.paints[before];
      const x = this.left + begin * this.wide;
      ctx.fillRect(Math.floor(x), y, Math.ceil(this.left + end * this.wide) - Math.floor(x), this.high - gap);
    };
    for (let column = 0; column < this.columns; column += 1) {
      const end = Math.min(this.steps, (column + 1) * this.bucket);
      const value = highest(row.values, column * this.bucket, end);
      if (value > HUNDRED) this.used.add(value);
      if (value !== before) {
        flush(column);
        begin = column;
        before = value;
      }
    }
    flush(this.columns);
    if (this.left) {
      ctx.fillStyle = colour("--text");
      ctx.font = `${Math.min(12, this.high - 3)}px ${getComputedStyle(document.body).fontFamily}`;
      ctx.textBaseline = "middle";
      ctx.fillText(shorten(ctx, row.host, this.left - 10), 0, y + this.high / 2);
    }
  }

  makePaints(ctx) {
    const stops = [0, 1, 2, 3, 4].map((place) => parse(colour(`--heat-${place}`)));
    const full = METRICS[this.document.metric][1];
    const paints = [];
    for (let value = 0; value <= HUNDRED; value += 1) {
      const at = Math.min(1, value / HUNDRED / full) * 4;
      const low = Math.min(3, Math.floor(at));
      const part = at - low;
      paints[value] = `rgb(${stops[low].map((each, place) => Math.round(each + (stops[low + 1][place] - each) * part)).join(" ")})`;
    }
    for (const value of Object.keys(REASONS)) paints[value] = hatching(ctx, Number(value));
    return paints;
  }

  drawAxis(ctx, width) {
    const y = this.rows.length * this.high + AXIS - 5;
    ctx.fillStyle = colour("--muted");
    ctx.font = `11.5px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textBaseline = "alphabetic";
    const room = width - this.left;
    const every = room > 700 ? 10 : room > 300 ? 20 : 30;
    for (let minutes = 60; minutes >= 0; minutes -= every) {
      const text = minutes ? `${minutes} min ago` : "now";
      const wide = ctx.measureText(text).width;
      const x = this.left + room * (1 - minutes / 60);
      ctx.fillText(text, Math.max(this.left, Math.min(x - wide / 2, width - wide)), y);
    }
  }

  drawCursor(ctx) {
    if (!this.cursor) return;
    const { row, step } = this.cursor;
    const x = this.left + (step / this.steps) * this.columns * this.wide;
    ctx.strokeStyle = colour("--text");
    ctx.lineWidth = 1.5;
    ctx.strokeRect(x - 1, row * this.high - 0.5, Math.max(this.wide, 3) + 2, this.high + 0.5);
    if (!this.left) return;
    ctx.beginPath();
    ctx.moveTo(0, (row + 1) * this.high - 1);
    ctx.lineTo(this.left - 6, (row + 1) * this.high - 1);
    ctx.stroke();
  }

  writeScale() {
    const [, full] = METRICS[this.document.metric];
    const key = `${this.document.metric} ${[...this.used].sort()} ${matchMedia("(prefers-color-scheme: dark)").matches}`;
    if (key === this.scaled) return;
    this.scaled = key;
    const swatch = (width, fill) => {
      const made = element("canvas", { "aria-hidden": "true" });
      made.width = width;
      made.height = 12;
      fill(made.getContext("2d"));
      return made;
    };
    const ramp = swatch(120, (ctx) => {
      for (let x = 0; x < 120; x += 1) {
        ctx.fillStyle = this.paints[Math.round((x / 119) * HUNDRED * full)];
        ctx.fillRect(x, 0, 1, 12);
      }
    });
    const reasons = [...this.used].sort().map((value) => element("span", {}, swatch(22, (ctx) => {
      ctx.fillStyle = colour("--heat-none");
      ctx.fillRect(0, 0, 22, 12);
      ctx.fillStyle = hatching(ctx, value);
      ctx.fillRect(0, 0, 22, 12);
    }), REASONS[value]));
    this.scale.replaceChildren(element("span", {}, "0 %", ramp, full < 1 ? `${full * 100} % and more` : "100 %"), ...reasons);
  }

  // ---- words and numbers -----------------------------------------------------------------------

  writeSummary() {
    const { metric, found } = this.document;
    let best = null;
    let without = 0;
    for (const row of this.rows) {
      const now = row.values[this.steps - 1];
      if (now > HUNDRED) without += 1;
      for (let step = this.steps - MINUTE_STEPS; step < this.steps; step += 1) if (row.values[step] <= HUNDRED && (!best || row.values[step] > best.value)) best = { value: row.values[step], row };
    }
    const strong = (text) => element("strong", { class: "host", text: text.slice(0, 200) });
    const words = best ? [strong(best.row.host), ` is highest in the last minute: ${METRICS[metric][0]} ${percent(best.value / HUNDRED)}. `] : ["No value is known in the last minute. "];
    words.push(`${this.rows.length} of ${found} nodes are shown${without ? `, ${without} of them have no value now (hatched)` : ""}.`);
    this.summary.replaceChildren(...words);
  }

  when(step) {
    const at = new Date(this.until - (this.steps - 1 - step) * this.document.step_seconds * 1000);
    return at.toTimeString().slice(0, 8);
  }

  sentence({ row, step }) {
    const value = this.rows[row].values[step];
    return value <= HUNDRED ? `${METRICS[this.document.metric][0]} ${percent(value / HUNDRED)}` : `no value (${REASONS[value] ?? "not known"})`;
  }

  say() {
    if (!this.cursor || !this.rows.length) {
      this.said.textContent = "Point at a cell, or use the arrow keys; Enter or a click shows the node.";
      this.box.setAttribute("aria-valuetext", "no cell is chosen");
      return;
    }
    const { row, step } = this.cursor;
    const host = this.rows[row].host;
    this.said.replaceChildren(element("strong", { class: "host", text: host.slice(0, 200) }), ` at ${this.when(step)}: ${this.sentence(this.cursor)}`);
    this.box.setAttribute("aria-valuemax", this.rows.length);
    this.box.setAttribute("aria-valuenow", row + 1);
    this.box.setAttribute("aria-valuetext", `${host} at ${this.when(step)}: ${this.sentence(this.cursor)}`);
  }

  // The highest value of each minute, the newest minute first; so many cells are readable, and a tenth of a second to make.
  writeTable() {
    if (!this.details.open || !this.document) return;
    const minutes = Math.floor(this.steps / MINUTE_STEPS);
    const heads = [];
    for (let minute = minutes - 1; minute >= 0; minute -= 1) heads.push(element("th", { scope: "col", class: "number", text: this.when((minute + 1) * MINUTE_STEPS - 1).slice(0, 5) }));
    const rows = this.rows.slice(0, 60).map((row) => {
      const cells = [];
      for (let minute = minutes - 1; minute >= 0; minute -= 1) {
        const value = highest(row.values, minute * MINUTE_STEPS, (minute + 1) * MINUTE_STEPS);
        cells.push(element("td", { class: value <= HUNDRED ? "number" : "number unknown", text: value <= HUNDRED ? percent(value / HUNDRED) : REASONS[value] ?? "not known" }));
      }
      return element("tr", {}, element("th", { scope: "row", class: "nowrap host", text: row.host.slice(0, 60) }), ...cells);
    });
    const more = this.rows.length > rows.length ? `; the first ${rows.length} of ${this.rows.length}` : "";
    this.table.replaceChildren(element("caption", { text: `${METRICS[this.document.metric][0]}, the highest value of each minute${more}` }), element("thead", {}, element("tr", {}, element("th", { scope: "col", text: "Node" }), ...heads)), element("tbody", {}, ...rows));
  }

  // ---- the cursor ------------------------------------------------------------------------------

  move(cursor) {
    this.cursor = cursor && this.rows.length ? { row: Math.max(0, Math.min(cursor.row, this.rows.length - 1)), step: Math.max(0, Math.min(cursor.step, this.steps - 1)) } : null;
    this.say();
    this.isMoving ??= requestAnimationFrame(() => {
      this.isMoving = undefined;
      this.draw();
    });
  }

  point(event) {
    const at = this.canvas.getBoundingClientRect();
    const step = Math.floor(((event.clientX - at.left - this.left) / (at.width - this.left)) * this.steps);
    const row = Math.floor((event.clientY - at.top) / this.high);
    if (row >= 0 && row < this.rows.length) this.move({ row, step });
  }

  onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !this.rows.length) return;
    const cursor = this.cursor ?? { row: 0, step: this.steps - 1 };
    const many = event.shiftKey ? 6 : 1;
    const moves = { ArrowLeft: [0, -many], ArrowRight: [0, many], ArrowUp: [-1, 0], ArrowDown: [1, 0], PageUp: [-10, 0], PageDown: [10, 0], Home: [0, -this.steps], End: [0, this.steps] };
    if (event.key === "Enter") this.open(this.rows[cursor.row].node);
    if (!moves[event.key]) return;
    event.preventDefault();
    this.move({ row: cursor.row + moves[event.key][0], step: cursor.step + moves[event.key][1] });
  }
}

function parse(text) {
  return [1, 3, 5].map((place) => parseInt(text.slice(place, place + 2), 16));
}

function shorten(ctx, text, room) {
  const whole = text.slice(0, 60);
  if (ctx.measureText(whole).width <= room) return whole;
  let length = whole.length;
  while (length > 1 && ctx.measureText(`${whole.slice(0, length)}…`).width > room) length -= 1;
  return `${whole.slice(0, length)}…`;
}

// Late: wide stripes; stale: narrow ones in the colour of errors; gone: lines; never seen: points; not known: faint stripes.
function hatching(ctx, value) {
  const size = { 251: 6, 252: 5, 253: 5, 254: 7, 255: 7 }[value];
  const made = document.createElement("canvas");
  made.width = made.height = size;
  const pen = made.getContext("2d");
  pen.strokeStyle = pen.fillStyle = colour(value === 253 ? "--error" : value === 254 ? "--warning" : value === 255 ? "--line" : "--heat-mark");
  pen.lineWidth = value === 253 ? 1.6 : 1.1;
  pen.beginPath();
  if (value === 251) pen.fillRect(2, 2, 1.5, 1.5);
  else if (value === 252) {
    pen.moveTo(0, 2.5);
    pen.lineTo(size, 2.5);
  } else {
    for (const shift of [-size, 0, size]) {
      pen.moveTo(shift - 1, size + 1);
      pen.lineTo(shift + size + 1, -1);
    }
  }
  pen.stroke();
  return ctx.createPattern(made, "repeat");
}
