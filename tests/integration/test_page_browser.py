"""This node's page in a real Chromium."""

import os
import re
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fakes.browser import CONTRAST, NEEDS_CHROMIUM, PATIENCE_MS, opened, running_chromium
from fakes.gateway_host import GatewayHost
from fakes.gateway_thread import serving
from fakes.page_story import BEGIN_S, GAP, NOISY, SECONDS, PageStory, name_units
from fakes.status import status_document, worker_row
from harness.waiting import wait_until
from playwright.sync_api import Browser, Page, Route, expect

from agent.model.timebase import S
from workers.http.server import Server

pytestmark = [NEEDS_CHROMIUM, pytest.mark.timeout(240)]
ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
VENDOR = ROOT / "workers/http/assets/vendor"
CHARTS = ("cpu", "memory", "io", "pressure", "cache", "bandwidth")
DRAWN = "#cpu .chart canvas"
# Everything is there: lines, processes, the agent.
WHOLE = "#processes tbody tr"


class ShownNode:
    """A gateway in a thread, over the story."""

    def __init__(self, folder: Path) -> None:
        self.story = PageStory(folder)
        self.host = GatewayHost(state_dir=str(folder))
        condition = {
            "worker": "control-plane", "kind": "nri", "blocks_ready": False, "since": "2023-11-15T12:01:00.000Z",
            "detail": "/var/run/nri/nri.sock does not answer; pods come from the cgroup tree",
        }  # fmt: skip
        calm: dict[str, Any] = {"restarts": 0, "last_exit": None, "deaths": {}}
        names = ("control-plane", "gateway", "sampler/process", "sampler/resctrl", "writer")
        workers = [worker_row(name, pss_bytes=(6 + len(name)) << 19, uptime_seconds=93_600.0, **calm) for name in names]
        workers.append(worker_row("sampler/node", restarts=1, pss_bytes=7 << 20, uptime_seconds=520.0))
        self.host.status = status_document(workers=workers, conditions=[condition])
        name_units(self.host)
        self.pass_seconds(SECONDS)
        self.url = f"http://{self.host.stats['address']}/"

    def pass_seconds(self, seconds: int) -> None:
        """More of the story."""
        self.story.tell(seconds)
        self.host.clock.advance(seconds * S)
        self.host.clock.set_wall_ns((BEGIN_S + self.story.second) * S)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests; each has a context of its own."""
    with running_chromium() as found:
        yield found


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShownNode]:
    """One that no test changes."""
    shown = ShownNode(tmp_path_factory.mktemp("n"))
    with serving(shown.host):
        yield shown
    shown.host.close()


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[ShownNode]:
    """One that a test may change."""
    shown = ShownNode(tmp_path)
    with serving(shown.host):
        yield shown
    shown.host.close()


def text(page: Page, selector: str) -> str:
    """What is written there."""
    return page.locator(selector).inner_text()


def test_the_charts_library_is_here() -> None:
    """It is fetched while the environment is made; the tests below draw with it."""
    assert (VENDOR / "uPlot.iife.min.js").is_file(), "run scripts/assets"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
def test_the_page_is_whole_on_every_screen(browser: Browser, node: ShownNode, width: int, scheme: str) -> None:
    """No complaint, no refused script or style, nothing wider than the screen, every text readable."""
    with opened(browser, node.url, width=width, scheme=scheme, wanted=WHOLE) as (page, complaints):
        page.wait_for_selector(DRAWN)
        assert text(page, "#host") == "node-7"
        expect(page.locator("#ready")).to_have_text("ready", timeout=PATIENCE_MS)
        assert text(page, "#state") == "live"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for chart in CHARTS:
            assert page.locator(f"#{chart} .chart canvas").count() == 1
            assert "hatched (suspended)" in text(page, f"#{chart} .summary")
        assert "models/llama-8b-0 used the most CPU" in text(page, "#cpu .summary")
        ratios = sorted(map(tuple, page.evaluate(CONTRAST)))
        assert len(ratios) > 100
        assert ratios[0][0] >= 4.5, ratios[:5]
        assert complaints.found == []


def test_a_table_has_the_numbers_of_its_chart(browser: Browser, node: ShownNode) -> None:
    """Every second that is known, the newest first, as the documents have them."""
    with opened(browser, node.url, wanted=DRAWN) as (page, complaints):
        page.locator("#cpu details summary").click()
        rows = page.locator("#cpu details tbody tr")
        expect(rows).to_have_count(SECONDS - len(GAP), timeout=PATIENCE_MS)
        heads = page.locator("#cpu details thead th").all_inner_texts()
        assert heads[:2] == ["Time", "whole host"]
        series = page.evaluate(f"fetch('/v1/node/series?since={BEGIN_S}&until={BEGIN_S + SECONDS}').then((each) => each.json())")
        by_name = {unit["name"]: unit["values"].get("cpu") for unit in series["units"]} | {"whole host": series["host"]["cpu"]}
        for place, row in ((SECONDS - 1, 0), (SECONDS - 300, 299)):
            cells = rows.nth(row).locator("td").all_inner_texts()
            expected = [by_name[name][place] for name in heads[1:]]
            assert [float(cell) for cell in cells] == [pytest.approx(value, abs=0.006, rel=0.006) for value in expected]
        assert page.locator("#cpu caption").inner_text() == f"CPU, {SECONDS - len(GAP)} times"
        assert complaints.found == []


def test_the_keyboard_chooses_a_time_and_the_address_keeps_it(browser: Browser, node: ShownNode) -> None:
    """Arrows in a chart, slash for the search, Escape back to what is now; a reader of the screen hears the values."""
    with opened(browser, node.url, wanted=DRAWN) as (page, complaints):
        page.locator("#cpu .chart").focus()
        page.keyboard.press("ArrowLeft")
        newest = BEGIN_S + SECONDS - 1
        assert page.evaluate("location.hash") == f"#t={newest - 1}"
        page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("ArrowRight")
        chosen = newest - 10
        assert page.evaluate("location.hash") == f"#t={chosen}"
        # A key is heard at once, and drawn with the next frame.
        spoken = re.compile("^12:13:49: whole host .*models/llama-8b-0 ")
        expect(page.locator("#cpu .chart")).to_have_attribute("aria-valuetext", spoken, timeout=PATIENCE_MS)
        expect(page.locator("#processes-about")).to_have_text("at 2023-11-15 12:13:49", timeout=PATIENCE_MS)
        expect(page.locator("#units-about")).to_have_text("at 2023-11-15 12:13:49, the largest", timeout=PATIENCE_MS)
        page.keyboard.press("Escape")
        assert page.evaluate("location.hash") == ""
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "search"
        page.keyboard.type("shop web-1")
        expect(page.locator("#units tbody th")).to_have_text(["shop/web-1"], timeout=PATIENCE_MS)
        assert page.evaluate("location.hash") == "#q=shop+web-1"
        page.keyboard.press("Escape")
        expect(page.locator("#units tbody tr")).to_have_count(10, timeout=PATIENCE_MS)
        assert complaints.found == []


def test_an_address_shows_others_the_same(browser: Browser, node: ShownNode) -> None:
    """The time, the span, the unit and the search."""
    chosen = BEGIN_S + GAP.start + 5
    with opened(browser, f"{node.url}#t={chosen}&span=300&unit={NOISY}", wanted=DRAWN) as (page, complaints):
        expect(page.locator("#state")).to_contain_text("12:05:05", timeout=PATIENCE_MS)
        assert "batch/report-nightly" in text(page, "#focus")
        assert page.locator("#spans [aria-pressed=true]").inner_text() == "5 min"
        spoken = page.locator("#memory .chart").get_attribute("aria-valuetext") or ""
        assert spoken == "12:05:05: nothing is stored (suspended)"
        page.locator("#back").click()
        expect(page.locator("#state")).to_have_text("live", timeout=PATIENCE_MS)
        assert complaints.found == []


def test_a_click_in_a_chart_chooses_a_time(browser: Browser, node: ShownNode) -> None:
    """In all charts."""
    with opened(browser, node.url, wanted=DRAWN) as (page, _):
        page.locator("#io .u-over").click(position={"x": 40, "y": 40})
        chosen = int(page.evaluate("location.hash").removeprefix("#t="))
        assert BEGIN_S - 60 <= chosen < BEGIN_S + 400
        expect(page.locator("#cpu .chart")).to_have_attribute("aria-valuenow", str(chosen), timeout=PATIENCE_MS)


def test_tables_are_sorted_by_their_heads(browser: Browser, node: ShownNode) -> None:
    """And say so; what is not known comes last."""
    with opened(browser, node.url, wanted=WHOLE) as (page, _):
        page.locator("#units thead button", has_text="Memory").click()
        assert page.locator("#units tbody th").first.inner_text() == "models/llama-8b-0"
        assert page.locator("#units thead th[aria-sort]").inner_text().startswith("Memory")
        page.locator("#units thead button", has_text="Cache").click()
        page.locator("#units thead button", has_text="Cache").click()
        assert page.locator("#units thead th[aria-sort=ascending]").count() == 1
        assert page.locator("#units tbody th").last.inner_text().endswith(".service")


def test_what_is_stored_is_on_the_screen_within_a_second(browser: Browser, own_node: ShownNode) -> None:
    """Over the stream; nothing is asked for again."""
    with opened(browser, own_node.url, wanted=WHOLE) as (page, complaints):
        page.wait_for_selector(DRAWN)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for second in range(3):
            own_node.pass_seconds(1)
            newest = BEGIN_S + SECONDS + second
            expect(page.locator("#cpu .chart")).to_have_attribute("aria-valuenow", str(newest), timeout=PATIENCE_MS)
        assert asked == []
        assert complaints.found == []


def test_lines_that_did_not_come_are_asked_for_again(browser: Browser, own_node: ShownNode) -> None:
    """Every two seconds and no sooner, also where a time was chosen; the stream that lives meanwhile tells only what is new."""
    with opened(browser, "about:blank") as (page, _):
        asked: list[float] = []

        def lose(route: Route) -> None:
            asked.append(time.monotonic())
            # The page begins with one such question; its lines have another.
            if len(asked) in (2, 3):
                route.abort()
            else:
                route.continue_()

        page.route("**/v1/node", lose)
        page.goto(f"{own_node.url}#t={BEGIN_S}")
        expect(page.locator("#state")).to_have_text("no data", timeout=PATIENCE_MS)
        expect(page.locator("#state")).not_to_have_text("no data", timeout=PATIENCE_MS)
        page.wait_for_selector(DRAWN)
        assert all(later - earlier > 1 for earlier, later in pairwise(asked[1:4]))


def test_a_page_whose_first_question_is_lost_begins_with_the_next_answer(browser: Browser, own_node: ShownNode) -> None:
    """It came while the gateway was being started again: it says so, and nobody has to load it once more."""
    with opened(browser, "about:blank") as (page, _):
        page.route("**/v1/node", lambda route: route.abort(), times=1)
        page.goto(own_node.url)
        expect(page.locator("#state")).to_have_text("no data", timeout=PATIENCE_MS)
        expect(page.locator("#told")).to_contain_text("has not answered yet", timeout=PATIENCE_MS)
        expect(page.locator("#state")).to_have_text("live", timeout=PATIENCE_MS)
        page.wait_for_selector(DRAWN)
        assert text(page, "#host") == "node-7"


def test_two_tabs_share_one_stream(browser: Browser, own_node: ShownNode) -> None:
    """A shared worker holds it; when both are closed it is over."""
    server: Server = own_node.host.work._server
    context = browser.new_context()
    pages = [context.new_page() for _ in range(3)]
    for page in pages:
        page.goto(own_node.url)
        page.wait_for_selector(WHOLE)
        expect(page.locator("#state")).to_have_text("live", timeout=PATIENCE_MS)
    assert server.streams == 1
    context.close()
    wait_until(lambda: server.streams == 0, "the stream has ended")


def test_without_shared_workers_one_tab_tells_the_others(browser: Browser, own_node: ShownNode) -> None:
    """Over a channel; when it is closed another one takes over."""
    server: Server = own_node.host.work._server
    context = browser.new_context()
    context.add_init_script("delete globalThis.SharedWorker")
    first, second = context.new_page(), context.new_page()
    for page in (first, second):
        page.goto(own_node.url)
        page.wait_for_selector(WHOLE)
        expect(page.locator("#state")).to_have_text("live", timeout=PATIENCE_MS)
    assert server.streams == 1
    first.close()
    own_node.pass_seconds(1)
    newest = BEGIN_S + SECONDS
    expect(second.locator("#cpu .chart")).to_have_attribute("aria-valuenow", str(newest), timeout=PATIENCE_MS)
    assert server.streams == 1
    context.close()


def test_where_no_stream_is_free_the_page_asks(browser: Browser, own_node: ShownNode) -> None:
    """Every two seconds, and says so."""
    own_node.host.work._server._long_max = 0
    with opened(browser, own_node.url, wanted=WHOLE) as (page, _):
        expect(page.locator("#state")).to_contain_text("asking", timeout=PATIENCE_MS)
        expect(page.locator("#ready")).to_have_text("ready", timeout=PATIENCE_MS)
        own_node.pass_seconds(2)
        newest = BEGIN_S + SECONDS + 1
        expect(page.locator("#cpu .chart")).to_have_attribute("aria-valuenow", str(newest), timeout=PATIENCE_MS)


def test_without_the_library_the_tables_are_there(browser: Browser, own_node: ShownNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a sentence says what is missing and how to get it."""
    monkeypatch.setattr("workers.gateway.node.site.CHARTS_FILE", "none.js")
    with opened(browser, own_node.url, wanted="#cpu details[open] tbody tr") as (page, complaints):
        assert page.locator("#cpu .chart-missing").is_visible()
        assert "scripts/assets" in text(page, "#cpu .chart-missing")
        assert page.locator("canvas").count() == 0
        assert page.locator("#cpu details tbody tr").count() == SECONDS - len(GAP)
        assert complaints.found == []


def test_hostile_names_are_text(browser: Browser, own_node: ShownNode) -> None:
    """Anybody on a host may give a program and a unit any name."""
    name = "<img src=x onerror=alert(1)>"
    own_node.story.append(
        "process",
        [
            {
                "timestamp": (BEGIN_S + SECONDS) * S, "pid": 7, "start_ticks": 7, "comm": name, "state": "R", "cpu_share": 9.0,
                "chosen_for": "cpu",
            }
        ],
    )  # fmt: skip
    with opened(browser, own_node.url, wanted=WHOLE) as (page, complaints):
        assert page.locator("#processes tbody th").first.inner_text() == name
        assert page.locator("img[src=x]").count() == 0
        assert complaints.found == []


def test_a_page_of_another_origin_reads_nothing(browser: Browser, node: ShownNode) -> None:
    """It may ask, embed and open: it gets no document, no event and no frame."""
    with opened(browser, node.url, wanted=WHOLE) as (page, _):
        page.route("http://evil.test/**", lambda route: route.fulfill(body="<title>evil</title>", content_type="text/html"))
        page.goto("http://evil.test/")
        tried = page.evaluate(
            """async (url) => {
              const found = {};
              found.fetch = await fetch(url + 'v1/node').then(() => 'read', (error) => error.name);
              found.opaque = await fetch(url + 'v1/node', { mode: 'no-cors' }).then((answer) => answer.type, (error) => error.name);
              found.stream = await new Promise((done) => {
                const source = new EventSource(url + 'v1/stream');
                source.onopen = () => done('open');
                source.onerror = () => done(source.readyState);
              });
              found.script = await new Promise((done) => {
                const script = document.createElement('script');
                script.src = url + 'v1/node';
                script.onload = () => done('run');
                script.onerror = () => done('refused');
                document.head.append(script);
              });
              return found;
            }""",
            node.url,
        )
        assert tried == {"fetch": "TypeError", "opaque": "TypeError", "stream": 2, "script": "refused"}


def test_the_pictures_of_the_page() -> None:
    """They are made by the next test; here is what shows them."""
    for name in ("node-light.png", "node-dark.png"):
        assert (PICTURES / name).stat().st_size < 500_000
    assert "docs/pictures/node-dark.png" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_picture_shows_the_whole_page(browser: Browser, node: ShownNode, scheme: str, tmp_path: Path) -> None:
    """EVERGAUGE_PICTURES names the folder that gets it: `EVERGAUGE_PICTURES=docs/pictures scripts/test` with this file."""
    folder = Path(os.environ.get("EVERGAUGE_PICTURES") or tmp_path)
    with opened(browser, node.url, width=1600, height=1000, scheme=scheme, wanted=DRAWN) as (page, complaints):
        expect(page.locator("#ready")).to_have_text("ready", timeout=PATIENCE_MS)
        page.locator("#look").click()
        page.wait_for_selector("#verdicts li")
        page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
        # The part that a person sees first.
        charts = page.locator("#charts").bounding_box()
        assert charts is not None
        clip: Any = {"x": 0, "y": 0, "width": 1600, "height": int(charts["y"] + charts["height"]) + 14}
        picture = page.screenshot(full_page=True, clip=clip, path=folder / f"node-{scheme}.png")
        assert len(picture) > 50_000
        assert "batch/report-nightly went in CPU from" in text(page, "#verdicts")
        assert complaints.found == []
