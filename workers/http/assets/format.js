// Numbers and times as people read them. Every function gives "-" for what is not known, and never a zero.

export const NONE = "-";

export function number(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString("en", { useGrouping: size >= 10000 });
  return String(Number(value.toPrecision(size < 0.01 ? 1 : digits)));
}

export function cores(value) {
  if (value === null || value === undefined) return NONE;
  return value < 0.005 ? (value === 0 ? "0" : "<0.01") : value.toFixed(value < 10 ? 2 : 1);
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function bytes(value) {
  if (value === null || value === undefined) return NONE;
  let step = 0;
  let size = Math.abs(value);
  while (size >= 1023.5 && step < UNITS.length - 1) {
    size /= 1024;
    step += 1;
  }
  const text = step === 0 || size >= 99.95 ? size.toFixed(0) : size.toFixed(1);
  return `${text} ${UNITS[step]}`;
}

export const rate = (value) => (value === null || value === undefined ? NONE : `${bytes(value)}/s`);

export function percent(value) {
  if (value === null || value === undefined) return NONE;
  const share = value * 100;
  if (share > 0 && share < 0.1) return "<0.1 %";
  return `${share >= 9.95 || share === 0 ? share.toFixed(0) : share.toFixed(1)} %`;
}

const two = (part) => String(part).padStart(2, "0");

export function clock(second) {
  const at = new Date(second * 1000);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export function moment(second) {
  const at = new Date(second * 1000);
  const today = new Date();
  const isToday = at.toDateString() === today.toDateString();
  return isToday ? clock(second) : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(second)}`;
}

export function span(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 86400 * 2) return `${number(seconds / 3600, 2)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

export const counted = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

// An element with its properties and children; text is always text, so nothing of a node's names is ever markup.
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
