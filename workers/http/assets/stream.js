// One stream of events for all tabs of a browser: browsers open few connections to a server, and a tab that holds one for good
// takes it from the others. A shared worker holds it; where there is none, the tab that has a lock does and tells the others over
// a channel; without either, each tab has its own.

import { listen } from "./stream_source.js";

// `onEvent(name, data)` gets every event, `onState("live" | "waiting" | "polling")` what becomes of the connection. Gives a function
// that ends it.
export function subscribe(url, names, onEvent, onState) {
  const take = (message) => {
    if (message.state) onState(message.state);
    else onEvent(message.name, message.data);
  };
  let end = () => {};
  const otherwise = () => {
    end = typeof BroadcastChannel === "function" && navigator.locks ? byChannel(url, names, take) : listen(url, names, take);
  };
  if (typeof SharedWorker === "function") {
    try {
      end = byWorker(url, names, take, otherwise);
    } catch {
      // A browser may have the word and forbid the thing.
      otherwise();
    }
  } else otherwise();
  return () => end();
}

// `onFailure` is called where the browser cannot load the worker, such as one that trusts a certificate for pages only.
function byWorker(url, names, take, onFailure) {
  const worker = new SharedWorker(new URL("./stream_worker.js", import.meta.url), { type: "module", name: url });
  worker.onerror = onFailure;
  worker.port.onmessage = (event) => take(event.data);
  worker.port.start();
  worker.port.postMessage({ open: url, names });
  const end = () => worker.port.postMessage({ close: true });
  addEventListener("pagehide", end, { once: true });
  // Back from where the browser keeps pages that were left.
  addEventListener("pageshow", (event) => event.persisted && worker.port.postMessage({ open: url, names }));
  return end;
}

function byChannel(url, names, take) {
  const channel = new BroadcastChannel(`evergauge ${url}`);
  const held = new Map();
  let end = () => {};
  channel.onmessage = (event) => {
    if (event.data.hello) for (const message of held.values()) channel.postMessage(message);
    else take(event.data);
  };
  channel.postMessage({ hello: true });
  const given = new Promise((resolve) => {
    end = resolve;
  });
  navigator.locks.request(`evergauge ${url}`, () => {
    const stop = listen(url, names, (message) => {
      held.set(message.name ?? "state", message);
      channel.postMessage(message);
      take(message);
    });
    return given.then(stop);
  });
  return () => {
    end();
    channel.close();
  };
}
