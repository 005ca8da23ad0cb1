// One node, or one unit of it: asked for while somebody looks.

import { bytes, cores, counted, element, moment, number, percent, rate, span } from "/assets/format.js";
import { cpuShare, memoryUsed, WORDS } from "./fleet_model.js";
import { stateWord } from "./mark.js";
import { nodeLink, taken, unitTable } from "./tables.js";

const UNITS_MAX = 2000;
const CLOCK_SECONDS = 1;
const unknown = () => element("span", { class: "unknown", text: "unknown" });
const written = (value, write) => (value === null || value === undefined ? unknown() : write(value));
const time = (text) => written(text, (each) => moment(Date.parse(each) / 1000));

function facts(rows) {
  return element("dl", { class: "facts" }, ...rows.map(([title, value, style]) => element("div", { class: style === "wide" ? style : null }, element("dt", { text: title }), element("dd", { class: style }, value))));
}

const panel = (title, about, ...parts) => element("section", { class: "panel" }, element("header", {}, element("h2", { text: title }), element("span", { class: "muted", text: about })), ...parts);

function condition(each) {
  return element(
    "article",
    { class: `condition ${each.severity}` },
    element("p", { class: "what" }, `${each.severity === "error" ? "Error" : "Warning"}: ${each.kind.replace(/_/g, " ")}`, element("span", { class: "muted", text: each.worker ? ` · ${each.worker}` : "" })),
    element("p", { text: each.detail }),
    each.remedy ? element("p", { class: "remedy", text: each.remedy }) : null,
  );
}

export class Detail {
  // `ask(path)` gives a document; `sort` and `onSort` are of the table of units.
  constructor({ root, ask, model, sort, onSort }) {
    Object.assign(this, { root, ask, model });
    this.table = unitTable(sort, onSort);
    this.shown = "";
  }

  async load({ node, unit }) {
    const wanted = `${node} ${unit}`;
    this.wanted = wanted;
    try {
      if (unit) await this.loadUnit(node, unit, wanted);
      else await this.loadNode(node, wanted);
    } catch (failure) {
      if (this.wanted === wanted) this.fail(failure.message, node, unit);
    }
  }

  // `title` and what stands below it are made anew, the table of units is kept: it has a place where somebody reads.
  put(wanted, parts) {
    const focused = this.shown === wanted && this.root.contains(document.activeElement);
    if (!focused || !this.root.firstChild) this.root.replaceChildren(...parts);
    else parts.forEach((part, place) => !this.root.children[place]?.contains(document.activeElement) && this.root.children[place]?.replaceWith(part));
    this.shown = wanted;
  }

  fail(sentence, node, unit) {
    this.put("", [element("p", { class: "crumbs" }, element("a", { href: unit && node ? nodeLink(node) : "#view=nodes", text: unit ? "← its node" : "← all nodes" })), element("section", { class: "panel" }, element("p", { text: sentence }))]);
  }

  async loadNode(install, wanted) {
    const query = new URLSearchParams({ node: install });
    const [found, units] = await Promise.all([this.ask(`/v1/node?${query}`), this.ask(`/v1/units?${query}&limit=${UNITS_MAX}`)]);
    if (this.wanted !== wanted) return;
    const row = found.node;
    const used = memoryUsed(row);
    const silent = row.silent_seconds === null ? null : row.state === "fresh" ? "now" : `${span(row.silent_seconds)} ago`;
    const offset = row.clock_offset_seconds;
    const isOff = offset !== null && Math.abs(offset) > CLOCK_SECONDS;
    const clock = written(offset, (each) => `${each > 0 ? "+" : ""}${number(each)} s${isOff ? `: set the clock of ${row.host.slice(0, 60)}; nothing here depends on it` : ""}`);
    const gone = row.state === "stale" || row.state === "gone";
    this.put(wanted, [
      element("p", { class: "crumbs" }, element("a", { href: "#view=nodes", text: "← all nodes" }), element("h2", { text: row.host }), stateWord(row.state), element("span", { class: "muted", text: `since ${row.since ? moment(Date.parse(row.since) / 1000) : "it joined"} · hub ${found.hub}` })),
      row.problem ? element("article", { class: "condition error" }, element("p", { class: "what", text: "What the hub has against it" }), element("p", { text: row.problem })) : null,
      gone ? element("article", { class: "condition" }, element("p", { class: "what", text: `It is ${WORDS[row.state]}: what is shown is what it said last` }), element("p", { class: "remedy", text: row.state === "stale" ? "look at the host's power and network, then at `agentctl status` there" : "it left on purpose; it comes back when its agent starts" })) : null,
      ...found.conditions.map(condition),
      panel("The node", `asked ${moment(Date.parse(found.as_of) / 1000)}`, facts([
        ["Last beat", written(silent, String), row.state === "stale" ? "bad" : ""],
        ["Age of the numbers", written(row.age_seconds, span)],
        ["CPU", written(row.cpu_cores, (each) => `${cores(each)} of ${row.cpus ?? "?"} cores${cpuShare(row) === null ? "" : `, ${percent(cpuShare(row))}`}`)],
        ["Memory", written(used, (each) => `${bytes(each)} of ${bytes(row.memory_bytes)}`)],
        ["Waits for CPU", written(row.pressure_cpu, percent)],
        ["Waits for memory", written(row.pressure_memory, percent)],
        ["Waits for I/O", written(row.pressure_io, percent)],
        ["Disks", written(row.disk_bytes_per_second, rate)],
        ["Network", written(row.network_bytes_per_second, rate)],
        ["Clock against the hub's", clock, isOff ? "warn" : ""],
        ["Beats received", String(row.received)],
        ["Beats lost", String(row.lost), row.lost ? "warn" : ""],
        ["Beats doubled", String(row.doubled), row.doubled ? "warn" : ""],
        ["Beats when it was late", String(row.late), row.late ? "warn" : ""],
        ["Frames refused", String(row.refused), row.refused ? "warn" : ""],
        ["Agent", written(row.agent_version, String)],
        ["Run", written(row.run, String)],
        ["Identity", row.node],
      ])),
      found.gpus.length ? panel("GPUs", counted(found.gpus.length, "device"), this.gpus(found.gpus)) : null,
      element("section", { class: "panel" }, element("header", {}, element("h2", { text: "Units" }), element("span", { class: "muted", text: `${counted(units.found, "unit")}${units.found > units.units.length ? `, the busiest ${units.units.length} are here` : ""}` })), this.table.root),
    ].filter(Boolean));
    this.table.update(taken(units.units));
  }

  gpus(rows) {
    const cells = rows.map((row) => element("tr", {}, element("th", { scope: "row", text: row.device }), element("td", {}, written(row.name, String)), element("td", { class: row.stuck ? "bad" : "" }, row.stuck ? "stuck: its driver does not answer" : "answers"), element("td", { class: "number" }, written(row.busy, percent)), element("td", { class: "number" }, written(row.vram_used_bytes, bytes)), element("td", { class: "number" }, written(row.vram_bytes, bytes))));
    const heads = [["Device"], ["Name"], ["Driver"], ["Busy", "number"], ["Used", "number"], ["Memory", "number"]].map(([text, style]) => element("th", { scope: "col", class: style, text }));
    return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "GPUs" }, element("table", {}, element("caption", { class: "unseen", text: "GPUs of this node" }), element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...cells)));
  }

  async loadUnit(install, unit, wanted) {
    const found = await this.ask(`/v1/units?${new URLSearchParams({ node: install, unit })}`);
    if (this.wanted !== wanted) return;
    const row = found.units[0];
    const host = this.model.nodes.get(install)?.host ?? install;
    if (!row) {
      this.fail(`${host.slice(0, 200)} has no unit ${unit.slice(0, 200)} now: it has ended, or the node has not told of it.`, install, unit);
      return;
    }
    const sources = Object.entries(row.sources).map(([what, who]) => `${what}: ${who}`).join(", ");
    this.put(wanted, [
      element("p", { class: "crumbs" }, element("a", { href: nodeLink(install), class: "host", text: `← ${host.slice(0, 80)}` }), element("h2", { text: row.name }), element("span", { class: "muted", text: `${row.kind}${row.namespace ? ` in ${row.namespace}` : ""} · hub ${found.hub}` })),
      panel("What it does", `asked ${moment(Date.parse(found.as_of) / 1000)}`, facts([
        ["State, by its engine", row.state === "unknown" ? unknown() : row.state],
        ["Requests waiting", written(row.waiting, String)],
        ["Requests running", written(row.running, String)],
        ["KV cache in use", written(row.kv_cache, percent)],
        ["CPU", written(row.cpu_cores, (each) => `${cores(each)} cores`)],
        ["Throttled", written(row.throttled, percent)],
        ["Memory", written(row.memory_bytes, (each) => `${bytes(each)}${row.memory_limit_bytes === null ? ", no limit is known" : ` of ${bytes(row.memory_limit_bytes)}`}`)],
        ["Waits for CPU", written(row.pressure_cpu, percent)],
        ["Waits for memory", written(row.pressure_memory, percent)],
        ["Waits for I/O", written(row.pressure_io, percent)],
        ["I/O", written(row.io_bytes_per_second, rate)],
        ["Last-level cache", written(row.cache_bytes, bytes)],
        ["Memory bandwidth", written(row.memory_bandwidth_bytes_per_second, rate)],
        ["GPU busy", written(row.gpu_busy, percent)],
        ["GPU memory", written(row.vram_bytes, bytes)],
        ["GPU memory free", written(row.vram_free_bytes, bytes)],
        ["Age of the numbers", written(row.age_seconds, span)],
      ])),
      panel("What it is", "", facts([
        ["Model", written(row.served_model ?? row.model, String)],
        ["Adapters", row.lora.length ? row.lora.join(", ") : "none"],
        ["Engine", written(row.engine, String)],
        ["Started", time(row.started)],
        ["Reserved by", row.reserved ? counted(row.reserved, "scheduler") : "nobody"],
        ["Identity", row.unit, "wide"],
        ["Who says so", sources || "nobody", "wide"],
      ])),
    ]);
  }
}
