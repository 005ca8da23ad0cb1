"""A real Chromium for tests of pages: what it says and refuses is kept, and nothing of it leaves this host."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NEEDS_CHROMIUM = pytest.mark.skipif(PROGRAM is None, reason="needs chromium; on Debian: apt-get install chromium fonts-noto-core")
# Root has no sandbox; what a browser fetches by itself would leave this host.
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--font-render-hinting=none",
]  # fmt: skip
PATIENCE_MS = 30_000


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """One browser for the length of a block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Complaints:
    """Everything that a page says to its console, raises, or cannot load."""

    def __init__(self, page: Page) -> None:
        self.found: list[str] = []
        page.on("console", lambda message: self.found.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.found.append(f"raised: {error}"))
        page.on("requestfailed", lambda request: self.found.append(f"failed: {request.url}: {request.failure}"))


@contextmanager
def opened(
    browser: Browser, url: str, *, width: int = 1280, height: int = 900, scheme: str = "light", wanted: str = "", **options: Any
) -> Iterator[tuple[Page, Complaints]]:
    """A page in a context of its own, as it is when the selector `wanted` is there."""
    settings: dict[str, Any] = {"viewport": {"width": width, "height": height}, "color_scheme": scheme, "timezone_id": "UTC"}
    context = browser.new_context(**(settings | {"reduced_motion": "reduce"} | options))
    context.set_default_timeout(PATIENCE_MS)
    try:
        page = context.new_page()
        complaints = Complaints(page)
        page.goto(url)
        if wanted:
            page.wait_for_selector(wanted)
        yield page, complaints
    finally:
        context.close()


# On the fleet's page: when a start is in the list of changes and the browser has painted it, unix time in milliseconds by its name.
WATCH_STARTS = """
() => {
  window.seen = {};
  const look = () => {
    for (const line of document.querySelectorAll("#changes li.started .name")) {
      const name = line.textContent;
      if (name in window.seen) continue;
      window.seen[name] = 0;
      requestAnimationFrame(() => requestAnimationFrame(() => { window.seen[name] = Date.now(); }));
    }
  };
  new MutationObserver(look).observe(document.getElementById("changes"), { childList: true, subtree: true });
}
"""

# The contrast of every text with what is behind it. Colours with an alpha are laid over what is below them.
CONTRAST = """
() => {
  const parse = (text) => {
    const parts = text.match(/[\\d.]+/g).map(Number);
    return parts.length < 4 ? [...parts, 1] : parts;
  };
  const over = (top, below) => top.slice(0, 3).map((part, place) => part * top[3] + below[place] * (1 - top[3])).concat(1);
  const light = (colour) => {
    const linear = (part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = colour.slice(0, 3).map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [a, b] = [light(one), light(other)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const ground = (node) => {
    const layers = [];
    for (let each = node; each; each = each.parentElement) layers.push(parse(getComputedStyle(each).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.closest(".unseen, .skip")) continue;
    const behind = ground(node);
    found.push([ratio(over(parse(getComputedStyle(node).color), behind), behind), walker.currentNode.data.trim().slice(0, 40)]);
  }
  for (const line of document.querySelectorAll(".legend svg line, .spark .edge")) {
    if (!line.checkVisibility()) continue;
    const behind = ground(line.closest("section, .vital"));
    found.push([ratio(parse(getComputedStyle(line).stroke), behind) * 1.5, "a line"]);
  }
  return found;
}
"""
