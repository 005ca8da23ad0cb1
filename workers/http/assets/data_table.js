// A table that can be sorted and searched, whose rows keep their place in the document while their numbers change.

import { element } from "./format.js";

export class DataTable {
  // `columns`: {key, title, text(row), value(row), number, cell(row)}; `identify(row)` is what a row is known by. `empty`: what stands
  // where no row is left.
  constructor({ caption, columns, identify, sort, rowsMax = 200, empty, onRow = null }) {
    this.columns = columns;
    this.identify = identify;
    this.sortKey = sort;
    this.isDescending = true;
    this.rowsMax = rowsMax;
    this.rows = [];
    this.words = [];
    this.made = new Map();
    this.onRow = onRow;
    this.heads = columns.map((column) =>
      element("th", { scope: "col", class: column.number ? "number" : null }, element("button", { type: "button", text: column.title, title: column.about ?? `Sort by ${column.title}`, onclick: () => this.sort(column.key) })),
    );
    this.body = element("tbody");
    this.more = element("p", { class: "muted more", hidden: true });
    this.empty = element("p", { class: "muted empty", text: empty, hidden: true });
    this.table = element("table", {}, element("caption", { class: "unseen", text: caption }), element("thead", {}, element("tr", {}, ...this.heads)), this.body);
    this.root = element("div", {}, element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, this.table), this.empty, this.more);
    this.mark();
  }

  sort(key) {
    const column = this.columns.find((each) => each.key === key);
    this.isDescending = this.sortKey === key ? !this.isDescending : Boolean(column.number);
    this.sortKey = key;
    this.mark();
    this.draw();
  }

  search(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.draw();
  }

  update(rows) {
    this.rows = rows;
    this.draw();
  }

  mark() {
    this.columns.forEach((column, number) => {
      if (column.key === this.sortKey) this.heads[number].setAttribute("aria-sort", this.isDescending ? "descending" : "ascending");
      else this.heads[number].removeAttribute("aria-sort");
    });
  }

  draw() {
    const column = this.columns.find((each) => each.key === this.sortKey);
    const value = column.value ?? column.text;
    const sign = this.isDescending ? -1 : 1;
    const found = this.rows.filter((row) => {
      const text = this.columns.map((each) => (each.number ? "" : each.text(row))).join(" ").toLowerCase();
      return this.words.every((word) => text.includes(word));
    });
    // What is not known comes last, however it is sorted.
    const compare = (one, other) => {
      const [a, b] = [value(one), value(other)];
      if (a === null || a === undefined || b === null || b === undefined) return (a === null || a === undefined) - (b === null || b === undefined);
      return (a < b ? -1 : a > b ? 1 : 0) * sign || (this.identify(one) < this.identify(other) ? -1 : 1);
    };
    found.sort(compare);
    const shown = found.slice(0, this.rowsMax);
    const kept = new Set();
    shown.forEach((row, place) => {
      const id = this.identify(row);
      kept.add(id);
      let line = this.made.get(id);
      if (!line) {
        line = element("tr", {}, ...this.columns.map((each, number) => element(number === 0 ? "th" : "td", { scope: number === 0 ? "row" : null, class: each.number ? "number" : each.class })));
        this.made.set(id, line);
      }
      this.columns.forEach((each, number) => {
        const cell = line.children[number];
        if (each.cell) {
          const text = each.text(row);
          if (cell.dataset.text !== text) {
            cell.dataset.text = text;
            cell.replaceChildren(each.cell(row));
          }
        } else {
          const text = each.text(row);
          if (cell.textContent !== text) cell.textContent = text;
        }
      });
      if (this.onRow) this.onRow(line, row);
      if (this.body.children[place] !== line) this.body.insertBefore(line, this.body.children[place] ?? null);
    });
    for (const [id, line] of this.made) {
      if (!kept.has(id)) {
        line.remove();
        this.made.delete(id);
      }
    }
    this.empty.hidden = found.length > 0;
    this.table.hidden = found.length === 0;
    this.more.hidden = found.length <= shown.length;
    this.more.textContent = `and ${found.length - shown.length} more; search, or sort by another column`;
  }
}
