// One small cell for each node, the worst first: shape and colour say its state. Ten thousand are one canvas.

import { element, span } from "/assets/format.js";
import { STATES, WORDS } from "./fleet_model.js";
import { mark, paintMark, stateColours } from "./mark.js";

const SIZES = [[60, 22], [400, 16], [1500, 12], [4000, 8], [Infinity, 6]];

export class Strip {
  // `open(node)` is asked for when a person chooses a node, `list(state)` when one chooses a state.
  constructor({ open, list, silent }) {
    Object.assign(this, { open, list, silent });
    this.rows = [];
    this.place = 0;
    this.canvas = element("canvas");
    this.keys = element("ul", { class: "keys", "aria-label": "How many nodes are in which state" });
    this.box = element("div", { class: "strip", tabindex: "0", role: "slider", "aria-label": "Nodes, the worst first", "aria-valuemin": "1" }, this.canvas);
    this.said = element("p", { class: "said" });
    this.box.addEventListener("keydown", (event) => this.onKey(event));
    this.box.addEventListener("focus", () => this.choose(this.place));
    this.box.addEventListener("pointermove", (event) => this.choose(this.placeAt(event)));
    this.box.addEventListener("click", (event) => {
      const row = this.rows[this.placeAt(event)];
      if (row) this.open(row.node);
    });
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  parts() {
    return [this.keys, this.box, this.said];
  }

  update(rows, counts) {
    this.rows = rows;
    const text = STATES.map((state) => `${state}${counts[state]}`).join();
    if (text !== this.counted) {
      this.counted = text;
      this.keys.replaceChildren(...STATES.filter((state) => counts[state] || state === "fresh").map((state) => element("li", {}, element("button", { type: "button", title: `Show the nodes that are ${WORDS[state]}`, onclick: () => this.list(state) }, mark(state), element("b", { text: String(counts[state]) }), WORDS[state]))));
    }
    this.box.setAttribute("aria-valuemax", Math.max(rows.length, 1));
    this.place = Math.min(this.place, Math.max(rows.length - 1, 0));
    // Rows whose states stand as they stood look the same: ten thousand signs are drawn when one of them is another.
    const look = rows.map((row) => row.state[0]).join("");
    if (look !== this.look) this.draw();
    this.look = look;
    this.say();
  }

  draw() {
    const width = this.box.clientWidth;
    if (!width) return;
    this.size = SIZES.find(([most]) => this.rows.length <= most)[1];
    this.across = Math.max(1, Math.floor(width / this.size));
    const down = Math.max(1, Math.ceil(this.rows.length / this.across));
    const ratio = devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(down * this.size * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) {
      this.canvas.width = w;
      this.canvas.height = h;
      this.canvas.style.height = `${down * this.size}px`;
    }
    const ctx = this.canvas.getContext("2d");
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, down * this.size);
    const colours = stateColours();
    this.rows.forEach((row, place) => {
      paintMark(ctx, row.state, (place % this.across) * this.size, Math.floor(place / this.across) * this.size, this.size, colours);
    });
    if (document.activeElement === this.box && this.rows.length) {
      ctx.strokeStyle = getComputedStyle(this.box).color;
      ctx.lineWidth = 1.5;
      ctx.strokeRect((this.place % this.across) * this.size + 0.75, Math.floor(this.place / this.across) * this.size + 0.75, this.size - 1.5, this.size - 1.5);
    }
  }

  placeAt(event) {
    const at = this.canvas.getBoundingClientRect();
    const across = Math.min(Math.floor((event.clientX - at.left) / this.size), this.across - 1);
    return Math.max(0, Math.min(Math.floor((event.clientY - at.top) / this.size) * this.across + across, this.rows.length - 1));
  }

  choose(place) {
    this.place = Math.max(0, Math.min(place, this.rows.length - 1));
    this.chosen = true;
    this.draw();
    this.say();
  }

  say() {
    const row = this.rows[this.place];
    if (!row) {
      this.said.textContent = "No node has joined this hub yet: `agentctl hub invite` makes an invitation.";
      return;
    }
    const silent = this.silent(row);
    const words = row.state === "fresh" ? "fresh" : `${WORDS[row.state]}${silent === null ? "" : `, silent for ${span(silent)}`}`;
    this.box.setAttribute("aria-valuenow", this.place + 1);
    this.box.setAttribute("aria-valuetext", `${row.host}: ${words}`);
    if (this.chosen) this.said.replaceChildren(element("strong", { class: "host", text: row.host.slice(0, 200) }), ` is ${words}, ${row.units === null ? "its units are not known" : `${row.units} units`}. Enter or a click shows it.`);
    else this.said.textContent = "Point at a cell, or use the arrow keys.";
  }

  onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.across, ArrowDown: this.across, Home: -Infinity, End: Infinity }[event.key];
    if (steps !== undefined) {
      event.preventDefault();
      this.choose(this.place + steps);
    } else if (event.key === "Enter" && this.rows[this.place]) this.open(this.rows[this.place].node);
  }
}
