// The connection itself. A browser comes back by itself after a lost one, with the id of its last event; where the server refuses
// (all places are taken), it is asked again after a while.

const AGAIN_MS = 10000;

export function listen(url, names, take) {
  let source = null;
  let timer = 0;
  const open = () => {
    source = new EventSource(url);
    source.onopen = () => take({ state: "live" });
    source.onerror = () => {
      const isOver = source.readyState === EventSource.CLOSED;
      take({ state: isOver ? "polling" : "waiting" });
      if (isOver) timer = setTimeout(open, AGAIN_MS * (0.75 + Math.random() / 2));
    };
    for (const name of names) source.addEventListener(name, (event) => take({ name, data: JSON.parse(event.data) }));
  };
  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}
