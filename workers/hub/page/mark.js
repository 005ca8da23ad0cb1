// The signs of states: each has a shape and a colour of its own, so that neither is needed alone.

import { element } from "/assets/format.js";
import { WORDS } from "./fleet_model.js";

const SVG = "http://www.w3.org/2000/svg";
export const COLOURS = { fresh: "--accent", late: "--warning", stale: "--error", gone: "--muted", never_seen: "--muted" };

// Draws one in a square of a canvas.
export function paintMark(ctx, state, x, y, size, colours) {
  const inset = size * 0.12;
  const [left, top, wide] = [x + inset, y + inset, size - 2 * inset];
  ctx.fillStyle = ctx.strokeStyle = colours[state] ?? colours.gone;
  ctx.lineWidth = Math.max(1, wide * 0.16);
  ctx.beginPath();
  if (state === "fresh") {
    // A small one has no corners to be seen, and is drawn in a tenth of the time.
    if (size < 10) return ctx.fillRect(left, top, wide, wide);
    ctx.roundRect(left, top, wide, wide, wide * 0.25);
    ctx.fill();
  } else if (state === "late") {
    ctx.moveTo(left + wide / 2, top);
    ctx.lineTo(left + wide, top + wide);
    ctx.lineTo(left, top + wide);
    ctx.closePath();
    ctx.fill();
  } else if (state === "stale") {
    ctx.lineWidth = Math.max(1.5, wide * 0.26);
    ctx.moveTo(left, top);
    ctx.lineTo(left + wide, top + wide);
    ctx.moveTo(left + wide, top);
    ctx.lineTo(left, top + wide);
    ctx.stroke();
  } else if (state === "gone") {
    ctx.arc(left + wide / 2, top + wide / 2, wide * 0.42, 0, 7);
    ctx.stroke();
  } else {
    ctx.arc(left + wide / 2, top + wide / 2, Math.max(1, wide * 0.2), 0, 7);
    ctx.fill();
  }
}

const PATHS = {
  fresh: [["rect", { x: 1, y: 1, width: 10, height: 10, rx: 2.5, fill: "currentColor" }]],
  late: [["path", { d: "M6 1L11 11H1Z", fill: "currentColor" }]],
  stale: [["path", { d: "M2 2L10 10M10 2L2 10", stroke: "currentColor", "stroke-width": 2.6, fill: "none" }]],
  gone: [["circle", { cx: 6, cy: 6, r: 4.2, stroke: "currentColor", "stroke-width": 1.8, fill: "none" }]],
  never_seen: [["circle", { cx: 6, cy: 6, r: 2.2, fill: "currentColor" }]],
};

export function mark(state) {
  const made = document.createElementNS(SVG, "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 12 12", class: `mark ${state}`, "aria-hidden": "true" })) made.setAttribute(name, value);
  for (const [tag, properties] of PATHS[state] ?? PATHS.never_seen) {
    const part = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(properties)) part.setAttribute(name, value);
    made.append(part);
  }
  return made;
}

export const stateWord = (state) => element("span", { class: "word" }, mark(state), WORDS[state] ?? state);

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const stateColours = () => Object.fromEntries(Object.entries(COLOURS).map(([state, name]) => [state, colour(name)]));
