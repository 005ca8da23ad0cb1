// A chart of lines over time: drawn by uPlot where that is there, and readable without a picture in every case. It has a summary
// in words, a legend with values, a table with every number, and a keyboard. Times from which nothing is stored are hatched.

import { clock, element, moment, NONE } from "./format.js";

// Long pieces: a line of some hundred points that tremble is still one line.
const DASHES = [[], [9, 4], [3, 3], [12, 3, 3, 3], [6, 2], [2, 5]];
const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 184;
const TABLE_ROWS_MAX = 960;
const SYNC = "time";

const charts = new Set();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// The library is a plain script; it is loaded once, when the first chart is made.
let library = null;
export function loadLibrary(path) {
  library ??= new Promise((resolve) => {
    if (!path) return resolve(null);
    const style = element("link", { rel: "stylesheet", href: path.replace(/[^/]+$/, "uPlot.min.css") });
    const script = element("script", { src: path });
    script.onload = () => resolve(globalThis.uPlot ?? null);
    script.onerror = () => resolve(null);
    document.head.append(style, script);
  });
  return library;
}

function keyOf(index) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("width", "22");
  made.setAttribute("height", "8");
  made.setAttribute("class", "key");
  made.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "line");
  for (const [name, value] of Object.entries({ x1: 1, x2: 21, y1: 4, y2: 4, "stroke-width": 2.4 })) line.setAttribute(name, value);
  line.setAttribute("stroke-dasharray", DASHES[index % DASHES.length].join(" "));
  made.append(line);
  return made;
}

// The colours of keys follow the theme; a style attribute in markup would be refused, a property that a script sets is not.
function paint(node, index) {
  node.querySelector("line").style.stroke = index < 0 ? "var(--series-host)" : `var(--series-${(index % 6) + 1})`;
}

export class TimeChart {
  // `pin(second)` is asked for when a person chooses a time, `focus(id)` when a line; `format` writes a value, `remedy` says how to
  // get the library where it is not there.
  constructor({ id, title, about, format, limit = null, pin, focus, remedy = "" }) {
    this.format = format;
    this.title = title;
    this.limit = limit;
    this.pin = pin;
    this.focus = focus;
    this.data = { times: [], step: 1, lines: [], gaps: [] };
    this.pinned = null;
    this.plot = null;
    this.uPlot = null;
    this.keyText = "";
    this.summary = element("p", { class: "summary", id: `${id}-summary` });
    this.box = element("div", { class: "chart", tabindex: "0", role: "slider", "aria-label": `${title}: chosen time`, "aria-describedby": `${id}-summary`, "aria-orientation": "horizontal" });
    this.legend = element("ul", { class: "legend", "aria-label": `${title}: lines` });
    this.table = element("table");
    this.details = element("details", { class: "data" }, element("summary", { text: "All numbers as a table" }), element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}: table` }, this.table));
    this.missing = element("p", { class: "chart-missing", hidden: true }, "The lines are not drawn: the library of charts (uPlot) is not part of this installation. To get it, ", element("span", { text: remedy || "run scripts/assets" }), ". Every number is in the table below.");
    this.root = element("section", { class: "panel", id, "aria-labelledby": `${id}-title` }, element("header", {}, element("h2", { id: `${id}-title`, text: title }), element("span", { class: "muted", text: about })), this.summary, this.missing, this.box, this.legend, this.details);
    this.details.addEventListener("toggle", () => this.writeTable());
    this.box.addEventListener("keydown", (event) => this.onKey(event));
    charts.add(this);
  }

  use(uPlot) {
    this.uPlot = uPlot;
    this.missing.hidden = uPlot !== null;
    this.box.hidden = uPlot === null;
    if (uPlot === null) this.details.open = true;
    else new ResizeObserver(() => this.resize()).observe(this.box);
    this.draw();
  }

  // `lines`: {id, name, values, index}; index -1 is the whole host. The first look chooses the lines, so that colours stay.
  update(data, summary) {
    this.data = data;
    this.summary.replaceChildren(...summary);
    // Without a line there is nothing to draw or to list.
    this.root.classList.toggle("bare", data.lines.length === 0);
    this.draw();
  }

  choose(second) {
    this.pinned = second;
    this.writeValues();
    this.plot?.redraw(false, false);
  }

  draw() {
    const { lines } = this.data;
    const key = lines.map((line) => `${line.id}/${line.index}/${line.faded ? 1 : 0}/${line.name}`).join("|");
    if (key !== this.keyText) {
      this.keyText = key;
      this.writeLegend();
      this.plot?.destroy();
      this.plot = null;
    }
    if (this.uPlot && !this.plot && lines.length && this.box.clientWidth > 0) this.plot = this.make();
    else if (this.plot) this.plot.setData(this.columns());
    this.writeValues();
    if (this.details.open) this.writeTable();
  }

  columns() {
    return [this.data.times, ...this.data.lines.map((line) => line.values)];
  }

  make() {
    const text = colour("--muted");
    const grid = { stroke: colour("--grid"), width: 1 };
    const axis = { stroke: text, grid, ticks: { show: false }, font: "11.5px ui-sans-serif, system-ui, sans-serif" };
    const series = this.data.lines.map((line) => ({
      label: line.name,
      stroke: colour(line.index < 0 ? "--series-host" : `--series-${(line.index % 6) + 1}`),
      width: line.index < 0 ? 1.25 : 1.75,
      alpha: line.faded ? 0.18 : 1,
      dash: DASHES[Math.max(line.index, 0) % DASHES.length],
      points: { show: false },
      spanGaps: false,
      scale: "y",
    }));
    const options = {
      width: this.box.clientWidth,
      height: HEIGHT,
      padding: [8, 6, 0, 0],
      legend: { show: false },
      cursor: {
        sync: { key: SYNC },
        y: false,
        drag: { x: false, y: false },
        points: { size: 7, width: 2 },
        bind: { dblclick: () => null },
      },
      scales: {
        x: { range: () => this.span() },
        y: { range: (_plot, _low, high) => [0, this.top(high)] },
      },
      axes: [
        { ...axis, space: 70, size: 26, values: (_plot, ticks) => this.labels(ticks) },
        { ...axis, size: 66, gap: 6, values: (_plot, ticks) => ticks.map((tick) => this.format(tick).replace(/\.0+(?=\D|$)/, "")), splits: (_plot, _axis, _low, high) => [0, 0.25, 0.5, 0.75, 1].map((part) => part * high) },
      ],
      series: [{}, ...series],
      hooks: {
        drawClear: [(plot) => this.hatch(plot)],
        draw: [(plot) => this.mark(plot)],
        setCursor: [(plot) => this.writeValues(plot.cursor.idx)],
      },
    };
    const plot = new this.uPlot(options, this.columns(), this.box);
    plot.over.addEventListener("click", () => {
      if (plot.cursor.idx !== null && plot.cursor.idx !== undefined) this.pin(this.data.times[plot.cursor.idx]);
    });
    return plot;
  }

  span() {
    const { times, step } = this.data;
    return times.length ? [this.data.from ?? times[0], times[times.length - 1] + step] : [0, 1];
  }

  // A round number above the highest value, so that the scale does not tremble.
  top(high) {
    const wanted = Math.max(high ?? 0, this.floor ?? 0);
    if (!(wanted > 0)) return this.least ?? 1;
    const base = this.format.isBytes ? 1024 ** Math.floor(Math.log(wanted) / Math.log(1024)) : 1;
    const scaled = wanted / base;
    // Quarters of it are labels, so they should be round too: of bytes in twos, of all else in tens.
    const power = this.format.isBytes ? 2 ** Math.floor(Math.log2(scaled)) : 10 ** Math.floor(Math.log10(scaled));
    const steps = this.format.isBytes ? [1, 1.5, 2] : [1, 1.2, 1.6, 2, 2.4, 3.2, 4, 5, 6, 8, 10];
    const round = steps.find((step) => step * power >= scaled * 1.04) ?? (this.format.isBytes ? 3 : 12);
    return Math.max(round * power * base, this.least ?? 0);
  }

  labels(ticks) {
    const short = ticks.length > 1 && ticks[1] - ticks[0] >= 60;
    return ticks.map((tick) => (short ? clock(tick).slice(0, 5) : clock(tick)));
  }

  hatch(plot) {
    const { ctx, bbox } = plot;
    const [first, last] = this.span();
    for (const gap of this.data.gaps) {
      const begin = plot.valToPos(Math.max(gap.since, first), "x", true);
      const end = plot.valToPos(Math.min(gap.until, last), "x", true);
      if (!(end > begin)) continue;
      const width = Math.max(end - begin, 2);
      ctx.save();
      ctx.beginPath();
      ctx.rect(begin, bbox.top, width, bbox.height);
      ctx.clip();
      ctx.fillStyle = colour("--raised");
      ctx.fillRect(begin, bbox.top, width, bbox.height);
      ctx.setLineDash([]);
      ctx.strokeStyle = colour("--hatch");
      ctx.lineWidth = 1.5 * devicePixelRatio;
      ctx.beginPath();
      const space = 6 * devicePixelRatio;
      for (let x = begin - bbox.height; x < begin + width; x += space) {
        ctx.moveTo(x, bbox.top + bbox.height);
        ctx.lineTo(x + bbox.height, bbox.top);
      }
      ctx.stroke();
      ctx.restore();
    }
  }

  mark(plot) {
    if (this.limit !== null && this.limit > 0) this.rule(plot, plot.valToPos(this.limit, "y", true));
    if (this.pinned === null) return;
    const { ctx, bbox } = plot;
    const x = Math.round(plot.valToPos(this.pinned, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    ctx.save();
    ctx.strokeStyle = colour("--accent");
    ctx.fillStyle = colour("--accent");
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.beginPath();
    ctx.moveTo(x - 4 * devicePixelRatio, bbox.top);
    ctx.lineTo(x + 4 * devicePixelRatio, bbox.top);
    ctx.lineTo(x, bbox.top + 6 * devicePixelRatio);
    ctx.fill();
    ctx.restore();
  }

  rule(plot, y) {
    const { ctx, bbox } = plot;
    if (y < bbox.top) return;
    ctx.save();
    ctx.strokeStyle = colour("--series-host");
    ctx.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  }

  resize() {
    if (!this.plot) this.draw();
    else if (this.box.clientWidth > 0 && this.plot.width !== this.box.clientWidth) this.plot.setSize({ width: this.box.clientWidth, height: HEIGHT });
  }

  repaint() {
    this.plot?.destroy();
    this.plot = null;
    this.draw();
  }

  // ---- words and numbers ---------------------------------------------------------------------

  place(second) {
    const { times, step } = this.data;
    if (!times.length || second === null) return -1;
    const place = Math.floor((second - times[0]) / step);
    return place >= 0 && place < times.length ? place : -1;
  }

  writeLegend() {
    this.values = [];
    this.legend.replaceChildren(
      ...this.data.lines.map((line) => {
        const key = keyOf(Math.max(line.index, 0));
        paint(key, line.index);
        const value = element("span", { class: "value" });
        this.values.push(value);
        const name = line.index < 0 ? element("span", { class: "name", text: line.name }) : element("button", { class: "name", type: "button", text: line.name, title: `${line.name}: show it in every chart`, onclick: () => this.focus(line.id) });
        return element("li", { "data-faded": line.faded }, key, name, value);
      }),
    );
  }

  // The newest known values, or those under the cursor, or those of the chosen time.
  writeValues(hovered) {
    const { times, lines } = this.data;
    const place = hovered ?? (this.pinned !== null ? this.place(this.pinned) : this.newest());
    lines.forEach((line, number) => {
      this.values[number].textContent = place >= 0 ? this.format(line.values[place]) : NONE;
    });
    const chosen = this.pinned !== null ? this.place(this.pinned) : this.newest();
    this.box.setAttribute("aria-valuemin", times[0] ?? 0);
    this.box.setAttribute("aria-valuemax", times[times.length - 1] ?? 0);
    this.box.setAttribute("aria-valuenow", times[chosen] ?? 0);
    this.box.setAttribute("aria-valuetext", chosen < 0 ? "nothing is known" : this.sentence(chosen));
  }

  newest() {
    const { lines, times } = this.data;
    for (let place = times.length - 1; place >= 0; place -= 1) if (lines.some((line) => line.values[place] !== null)) return place;
    return -1;
  }

  sentence(place) {
    const second = this.data.times[place];
    const gap = this.data.gaps.find((each) => each.since <= second && second < each.until);
    if (gap) return `${clock(second)}: nothing is stored${gap.reason ? ` (${gap.reason})` : ""}`;
    return `${clock(second)}: ${this.data.lines.map((line) => `${line.name} ${this.format(line.values[place])}`).join(", ")}`;
  }

  writeTable() {
    if (!this.details.open) return;
    const { times, lines } = this.data;
    const head = element("tr", {}, element("th", { scope: "col", text: "Time" }), ...lines.map((line) => element("th", { scope: "col", class: "number", text: line.name })));
    const rows = [];
    // The newest first: it is what is looked for.
    for (let place = times.length - 1; place >= 0 && rows.length < TABLE_ROWS_MAX; place -= 1) {
      if (lines.every((line) => line.values[place] === null)) continue;
      rows.push(element("tr", {}, element("th", { scope: "row", class: "nowrap", text: moment(times[place]) }), ...lines.map((line) => element("td", { class: "number", text: this.format(line.values[place]) }))));
    }
    this.table.replaceChildren(element("caption", { text: `${this.title}, ${rows.length} times` }), element("thead", {}, head), element("tbody", {}, ...rows));
  }

  onKey(event) {
    const { times, step } = this.data;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageUp: 60, PageDown: -60 }[event.key];
    if (event.altKey || event.ctrlKey || event.metaKey || !times.length) return;
    let place = this.pinned !== null && this.place(this.pinned) >= 0 ? this.place(this.pinned) : this.newest();
    if (steps !== undefined) place += steps * (event.shiftKey ? 10 : 1);
    else if (event.key === "Home") place = 0;
    else if (event.key === "End") place = times.length - 1;
    else return;
    event.preventDefault();
    this.pin(times[0] + Math.min(Math.max(place, 0), times.length - 1) * step);
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.repaint()));
