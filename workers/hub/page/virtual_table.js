// A table of any length: only the rows that are on the screen are in the document. It can be sorted, searched and read by keyboard;
// a reader of the screen hears which row of how many it is at.

import { element } from "/assets/format.js";

const ROW = 31;
const HEAD = 34;
const OVERSCAN = 8;

export class VirtualTable {
  // `columns`: {key, title, about, width, text(row), value(row), number, link(row), style(row)}; `text` gives null for what is not known.
  // `words(row)`: what is searched, in small letters. `sort`: {key, isDescending}; `onSort` hears of another one.
  constructor({ caption, columns, identify, words, sort, onSort = () => {}, empty }) {
    Object.assign(this, { columns, identify, words, sort, onSort, caption });
    this.rows = [];
    this.shown = [];
    this.query = [];
    this.keep = () => true;
    this.lines = [];
    this.isHeld = false;
    this.heads = columns.map((column) =>
      element("th", { scope: "col", class: column.number ? "number" : null }, element("button", { type: "button", text: column.title, title: column.about ?? `Sort by ${column.title}`, onclick: () => this.choose(column.key) })),
    );
    // The first column stays in sight; on a small screen it leaves room for the others.
    const wide = (column, place) => (place === 0 ? `min(${column.width}px, 42vw)` : `${column.width}px`);
    const widths = columns.map((column, place) => {
      const col = element("col");
      col.style.width = wide(column, place);
      return col;
    });
    this.above = element("tr", { class: "filler", "aria-hidden": "true" }, element("td", { colspan: columns.length }));
    this.below = element("tr", { class: "filler", "aria-hidden": "true" }, element("td", { colspan: columns.length }));
    this.body = element("tbody", {}, this.above, this.below);
    this.table = element("table", {}, element("caption", { class: "unseen", text: caption }), element("colgroup", {}, ...widths), element("thead", {}, element("tr", { "aria-rowindex": "1" }, ...this.heads)), this.body);
    this.table.style.width = `calc(${columns.map(wide).join(" + ")})`;
    this.empty = element("p", { class: "muted empty", text: empty, hidden: true });
    this.box = element("div", { class: "long", tabindex: "0", role: "region", "aria-label": caption }, this.table);
    this.root = element("div", {}, this.box, this.empty);
    this.box.addEventListener("scroll", () => this.schedule(), { passive: true });
    // While somebody points at a row or is in it, rows keep their order.
    for (const [name, held] of [["pointerenter", true], ["pointerleave", false], ["focusin", true], ["focusout", false]]) this.body.addEventListener(name, () => { this.isHeld = held; });
    new ResizeObserver(() => this.schedule()).observe(this.box);
    this.mark();
  }

  choose(key) {
    const column = this.columns.find((each) => each.key === key);
    this.sort = { key, isDescending: this.sort.key === key ? !this.sort.isDescending : Boolean(column.number) };
    this.mark();
    this.arrange(true);
    this.onSort(this.sort);
  }

  setSort(sort) {
    if (!this.columns.some((each) => each.key === sort.key)) return;
    this.sort = sort;
    this.mark();
    this.arrange(true);
  }

  search(text) {
    this.query = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.arrange(true);
  }

  filter(keep) {
    this.keep = keep;
    this.arrange(true);
  }

  update(rows) {
    this.rows = rows;
    this.arrange(false);
  }

  mark() {
    this.columns.forEach((column, number) => {
      if (column.key === this.sort.key) this.heads[number].setAttribute("aria-sort", this.sort.isDescending ? "descending" : "ascending");
      else this.heads[number].removeAttribute("aria-sort");
    });
  }

  arrange(isAsked) {
    const found = this.rows.filter((row) => this.keep(row) && this.query.every((word) => this.words(row).includes(word)));
    if (this.isHeld && !isAsked) this.shown = this.held(found);
    else this.shown = this.sorted(found);
    this.empty.hidden = this.shown.length > 0;
    this.box.hidden = this.shown.length === 0;
    this.box.style.setProperty("--rows-height", `${HEAD + this.shown.length * ROW + 4}px`);
    this.table.setAttribute("aria-rowcount", this.shown.length + 1);
    this.draw();
  }

  // Each row's value is looked up once, not in every comparison. What is not known comes last, however it is sorted.
  sorted(found) {
    const column = this.columns.find((each) => each.key === this.sort.key);
    const sign = this.sort.isDescending ? -1 : 1;
    const keyed = found.map((row) => [column.value(row), row]);
    keyed.sort(([a, one], [b, other]) => {
      if (a === null || b === null) return (a === null) - (b === null) || (this.identify(one) < this.identify(other) ? -1 : 1);
      return (a < b ? -1 : a > b ? 1 : 0) * sign || (this.identify(one) < this.identify(other) ? -1 : 1);
    });
    return keyed.map(([, row]) => row);
  }

  held(found) {
    const by = new Map(found.map((row) => [this.identify(row), row]));
    const order = [];
    for (const row of this.shown) {
      const id = this.identify(row);
      if (by.has(id)) order.push(by.get(id));
      by.delete(id);
    }
    return [...order, ...by.values()];
  }

  schedule() {
    if (this.isWaiting) return;
    this.isWaiting = true;
    requestAnimationFrame(() => {
      this.isWaiting = false;
      this.draw();
    });
  }

  draw() {
    const height = this.box.clientHeight;
    if (!height) return;
    const room = Math.ceil(height / ROW) + 2 * OVERSCAN;
    // An even first row keeps what stands where it was while somebody scrolls.
    const first = Math.max(0, Math.min(Math.floor(this.box.scrollTop / ROW) - OVERSCAN, this.shown.length - room)) & ~1;
    const count = Math.min(room + 1, this.shown.length - first);
    while (this.lines.length < count) this.grow();
    while (this.lines.length > count) this.lines.pop().remove();
    for (let place = 0; place < count; place += 1) this.write(this.lines[place], this.shown[first + place], first + place);
    this.above.firstChild.style.height = `${first * ROW}px`;
    this.below.firstChild.style.height = `${Math.max(0, this.shown.length - first - count) * ROW}px`;
    this.above.hidden = first === 0;
  }

  grow() {
    const line = element("tr", {}, ...this.columns.map((column, number) => {
      const cell = element(number === 0 ? "th" : "td", { scope: number === 0 ? "row" : null, class: column.number ? "number" : "name" });
      if (column.link) cell.append(element("a", {}));
      return cell;
    }));
    this.lines.push(line);
    this.body.insertBefore(line, this.below);
  }

  write(line, row, number) {
    const index = String(number + 2);
    if (line.getAttribute("aria-rowindex") !== index) line.setAttribute("aria-rowindex", index);
    this.columns.forEach((column, place) => {
      const cell = line.children[place];
      const found = column.text(row);
      const text = found ?? "unknown";
      const target = column.link ? cell.firstChild : cell;
      if (column.link) {
        const link = column.link(row);
        if (target.getAttribute("href") !== link) target.setAttribute("href", link);
      }
      const style = `${column.number ? "number" : "name"} ${found === null ? "unknown" : column.style?.(row) ?? ""}`.trim();
      if (cell.className !== style) cell.className = style;
      if (column.mark) {
        const mark = column.mark(row);
        if (cell.dataset.mark !== mark) {
          cell.dataset.mark = mark;
          cell.replaceChildren(column.make(row));
        }
      } else if (target.textContent !== text) {
        target.textContent = text;
        cell.title = text;
      }
    });
  }
}
