// Holds the one stream of a browser for all of its tabs. A tab that comes later gets the last of each event at once.

import { listen } from "./stream_source.js";

const ports = new Set();
const held = new Map();
let stop = null;

function tell(message) {
  held.set(message.name ?? "state", message);
  for (const port of ports) port.postMessage(message);
}

onconnect = (event) => {
  const port = event.ports[0];
  port.onmessage = ({ data }) => {
    if (data.close) {
      ports.delete(port);
      if (!ports.size && stop) {
        stop();
        stop = null;
        held.clear();
      }
      return;
    }
    ports.add(port);
    for (const message of held.values()) port.postMessage(message);
    stop ??= listen(data.open, data.names, tell);
  };
  port.start();
};
