// Who made whom slow, in sentences; the judge is the agent's own, the same as behind `agentctl neighbours`.

import { bytes, cores, counted, element, moment, number, percent, rate } from "/assets/format.js";

const SUFFERS = {
  cpu: (worst) => `waited for CPU ${percent(worst.during)} of the time`,
  memory: (worst) => `waited for memory ${percent(worst.during)} of the time`,
  io: (worst) => `waited for I/O ${percent(worst.during)} of the time`,
  throttled: (worst) => `was held back by its CPU limit ${percent(worst.during)} of the time`,
  cache: (worst) => `lacked ${percent(worst.during)} of the last-level cache that it usually holds`,
};
const WHY = {
  own_limit: "its own limit held it back",
  own_load: "it wanted more itself",
  less_work: "it worked less itself",
  no_shortage: "the host had enough of it",
  nothing_rose: "no neighbour used clearly more in the same seconds",
  no_unit: "what rose belongs to no unit",
  too_little_data: "too few seconds are known",
};
const AMOUNTS = {
  cpu_cores: ["CPU", (value) => `${cores(value)} cores`],
  memory_current_bytes: ["memory", bytes],
  io_bytes_per_second: ["I/O", rate],
  io_operations_per_second: ["I/O operations", (value) => `${number(value)}/s`],
  llc_occupancy_bytes: ["cache", bytes],
  mbm_total_bytes_per_second: ["memory bandwidth", rate],
};

function worstOf(victim) {
  return victim.episodes.reduce((one, other) => (other.during * (other.until_s - other.since_s) > one.during * (one.until_s - one.since_s) ? other : one));
}

function sentence(culprit, nameOf) {
  const [what, amount] = AMOUNTS[culprit.column] ?? [culprit.column, number];
  const when = Math.abs(culprit.began_seconds_before) <= 1 ? "in the same second" : `${Math.abs(culprit.began_seconds_before)} s ${culprit.began_seconds_before > 0 ? "before" : "after"}`;
  return [element("strong", { text: nameOf(culprit) }), ` went in ${what} from ${amount(culprit.before)} to ${amount(culprit.during)}, beginning ${when}: ${percent(culprit.part)} of all that rose`];
}

// `pin(second)` chooses a time, `nameOf(unit)` knows what the page calls a unit.
export function verdicts(answer, pin, nameOf) {
  return answer.victims.map((victim) => {
    const worst = worstOf(victim);
    const suffers = (SUFFERS[victim.symptom] ?? ((each) => `suffered (${victim.symptom}) ${percent(each.during)} of the time`))(worst);
    const when = element("button", { type: "button", class: "when", text: moment(worst.since_s), onclick: () => pin(worst.since_s) });
    const head = [element("strong", { text: nameOf(victim) }), ` ${suffers} for ${counted(worst.until_s - worst.since_s, "second")} from `, when];
    if (!worst.culprits.length) {
      const why = WHY[worst.no_culprit_because ?? victim.no_culprit_because] ?? "nothing else rose";
      return element("li", { class: "nobody" }, element("p", {}, ...head, "."), element("p", { class: "muted", text: `No culprit seen: ${why}.` }));
    }
    return element("li", {}, element("p", {}, ...head, "."), ...worst.culprits.map((culprit) => element("p", {}, ...sentence(culprit, nameOf), ".")));
  });
}
