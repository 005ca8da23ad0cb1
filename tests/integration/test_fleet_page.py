"""The fleet's page in a real Chromium."""

import os
import re
from base64 import b64decode
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.browser import CONTRAST, NEEDS_CHROMIUM, PATIENCE_MS, opened, running_chromium
from fakes.hub_story import install_id
from fakes.shown_fleet import ShownFleet, serving_fleet
from playwright.sync_api import Browser, Page, expect

from agent.fleet.live import UnitLabel

pytestmark = [NEEDS_CHROMIUM, pytest.mark.timeout(240)]
ROOT = Path(__file__).parents[2]
# What Chromium says of a question whose connection had been closed.
LOST_CONNECTION = re.compile(r"net::ERR_(SOCKET_NOT_CONNECTED|CONNECTION_CLOSED|CONNECTION_RESET|EMPTY_RESPONSE)$")
PICTURES = ROOT / "docs" / "pictures"
SILENT = frozenset({2, 5})
# Everything is there: signs, heat map, changes.
WHOLE = "#heat .scale span, #silents li"
VIEWS = (
    "",
    "#view=nodes",
    "#view=workers",
    f"#node={install_id(3)}",
    f"#unit={install_id(3)}%2F00000003-0002-4222-8333-444444444444",
)
REASONS = {251: "never seen", 252: "gone", 253: "stale: silent", 254: "late", 255: "not known"}


def an_hour(count: int = 40) -> ShownFleet:
    """A fleet that was watched for an hour, two nodes of which have fallen silent."""
    shown = ShownFleet(count)
    for _ in range(58):
        shown.pass_seconds(60)
        shown.job()
    shown.pass_seconds(120, silent=SILENT)
    return shown


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests; each has a context of its own."""
    with running_chromium() as found:
        yield found


@pytest.fixture(scope="module")
def fleet() -> Iterator[ShownFleet]:
    """One that no test changes."""
    shown = an_hour()
    with serving_fleet(shown):
        yield shown


@pytest.fixture
def own_fleet() -> Iterator[ShownFleet]:
    """One that a test may change."""
    shown = ShownFleet(12)
    shown.pass_seconds(200)
    with serving_fleet(shown):
        yield shown


def text(page: Page, selector: str) -> str:
    """What is written there."""
    return page.locator(selector).inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
def test_each_view_is_whole_on_every_screen(browser: Browser, fleet: ShownFleet, width: int, scheme: str) -> None:
    """No complaint, no refused script or style, nothing wider than the screen, every text readable."""
    for view in VIEWS:
        with opened(browser, fleet.url + view, width=width, scheme=scheme) as (page, complaints):
            ready = "#detail .facts, #overview:not([hidden]) .scale span, .view:not([hidden]) .long tbody th a"
            page.wait_for_selector(ready)
            expect(page.locator("#state")).to_contain_text("live", timeout=PATIENCE_MS)
            expect(page.locator("#hub")).to_have_text("rack-7", timeout=PATIENCE_MS)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            ratios = sorted(map(tuple, page.evaluate(CONTRAST)))
            assert len(ratios) > 20
            assert ratios[0][0] >= 4.5, (view, ratios[:5])
            assert complaints.found == [], view


def test_the_silent_nodes_come_first_with_their_time(browser: Browser, fleet: ShownFleet) -> None:
    """In the list, in the signs, in the map and in the table."""
    with opened(browser, fleet.url, wanted="#silents li") as (page, _):
        expect(page.locator("#health")).to_have_text("2 silent", timeout=PATIENCE_MS)
        expect(page.locator("#strip .keys li")).to_have_count(3, timeout=PATIENCE_MS)
        assert sorted(page.locator("#silents .host").all_inner_texts()) == ["gpu-002", "gpu-005"]
        assert page.locator("#silents .since").all_inner_texts() == ["stale for 2 min"] * 2
        assert page.locator("#silents svg.stale").count() == 2
        states = page.locator("#strip .keys li").all_inner_texts()
        assert [state.split() for state in states] == [["2", "stale"], ["1", "never", "seen"], ["37", "fresh"]]
        assert page.locator("#worst tbody tr").first.inner_text().split()[1] == "stale"
        page.goto(f"{fleet.url}#view=nodes")
        row = page.locator("#nodes tbody tr", has_text="gpu-002")
        assert row.locator("td").nth(0).inner_text() == "stale"
        assert row.locator("td").nth(1).inner_text() == "2 min ago"


def test_the_table_has_the_numbers_of_the_heat_map(browser: Browser, fleet: ShownFleet) -> None:
    """The highest value of each minute; where there is none, the reason."""
    with opened(browser, f"{fleet.url}#metric=pressure", wanted=WHOLE) as (page, _):
        page.wait_for_selector("#heat [data-metric=pressure][aria-pressed=true]")
        page.locator("#heat details summary").click()
        answer = page.evaluate("fetch('/v1/heat?metric=pressure&limit=20').then((each) => each.json())")
        page.wait_for_selector("#heat tbody tr")
        found = {
            row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in page.locator("#heat tbody tr").all()
        }
        assert set(found) == {row["host"] for row in answer["rows"]}
        for row in answer["rows"]:
            values = b64decode(row["values"])
            minutes = [values[begin : begin + 6] for begin in range(0, 360, 6)]
            best = [max((each for each in minute if each <= 200), default=minute[-1]) for minute in reversed(minutes)]
            assert [each if each in REASONS.values() else float(each.strip("% <")) for each in found[row["host"]]] == [
                REASONS[each] if each > 200 else pytest.approx(each / 2, abs=0.5) for each in best
            ]


def test_the_keyboard_moves_in_the_maps_and_opens_a_node(browser: Browser, fleet: ShownFleet) -> None:
    """Arrows, Enter, Escape and slash; a reader of the screen hears the values."""
    with opened(browser, fleet.url, wanted=WHOLE) as (page, complaints):
        page.wait_for_selector("#heat .scale span")
        page.locator("#heat .heat").focus()
        spoken = page.locator("#heat .heat").get_attribute("aria-valuetext") or ""
        assert "no value (stale: silent)" in spoken
        for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowLeft", "Shift+ArrowLeft"):
            page.keyboard.press(key)
        spoken = page.locator("#heat .heat").get_attribute("aria-valuetext") or ""
        assert "CPU " in spoken
        assert spoken.startswith("gpu-")
        page.keyboard.press("Enter")
        host = spoken.split()[0]
        expect(page.locator("#detail h2").first).to_have_text(host, timeout=PATIENCE_MS)
        page.keyboard.press("Escape")
        assert page.locator("#overview").is_visible()
        page.locator("#strip .strip").focus()
        page.keyboard.press("ArrowRight")
        assert "stale" in (page.locator("#strip .strip").get_attribute("aria-valuetext") or "")
        page.keyboard.press("/")
        page.keyboard.type("gpu-01")
        expect(page.locator("#nodes tbody th")).to_have_count(10, timeout=PATIENCE_MS)
        assert page.evaluate("location.hash") == "#view=nodes&q=gpu-01"
        page.go_back()
        assert page.locator("#overview").is_visible()
        assert complaints.found == []


def test_an_address_shows_others_the_same(browser: Browser, fleet: ShownFleet) -> None:
    """View, filters, sort, the chosen node and unit."""
    with opened(browser, f"{fleet.url}#view=workers&model=BAAI%2Fbge-m3&load=busy&sort=free-up") as (page, _):
        page.wait_for_selector("#workers tbody th a")
        assert set(page.locator("#workers tbody td:nth-child(3)").all_inner_texts()) == {"BAAI/bge-m3"}
        assert set(page.locator("#workers tbody td:nth-child(4)").all_inner_texts()) == {"busy"}
        assert page.locator("#workers thead th[aria-sort=ascending]").inner_text().startswith("VRAM free")
        page.locator("#workers tbody th a").first.click()
        page.wait_for_selector("#detail .facts")
        assert "BAAI/bge-m3" in text(page, "#detail")
        page.locator("#detail .crumbs a").click()
        expect(page.locator("#detail")).to_contain_text("4 devices", timeout=PATIENCE_MS)


def test_what_is_not_known_is_never_zero(browser: Browser, fleet: ShownFleet) -> None:
    """A worker whose engine says nothing, a GPU that is stuck, and a node that never reported."""
    with opened(browser, f"{fleet.url}#view=workers&load=unknown", wanted="#workers tbody th a") as (page, _):
        assert page.locator("#workers tbody tr[aria-rowindex='2'] td").all_inner_texts()[2:7] == ["unknown"] * 5
    with opened(browser, f"{fleet.url}#node={install_id(3)}", wanted="#detail .facts") as (page, _):
        stuck = page.locator("#detail tr", has_text="stuck: its driver does not answer")
        assert stuck.locator("td").nth(2).inner_text() == "unknown"
        assert "GPU-2 has not answered for 40 s" in text(page, "#detail .condition")
    with opened(browser, f"{fleet.url}#view=nodes&q=node-40", wanted="#nodes tbody th a") as (page, _):
        cells = page.locator("#nodes tbody tr[aria-rowindex='2'] td").all_inner_texts()
        assert cells[0] == "never seen"
        assert cells[1:10] == ["unknown"] * 9


def test_what_happens_is_on_the_screen_without_a_question(browser: Browser, own_fleet: ShownFleet) -> None:
    """A start, an end and a silence, over the stream."""
    with opened(browser, own_fleet.url, wanted="#strip .keys li") as (page, complaints):
        expect(page.locator("#state")).to_contain_text("live", timeout=PATIENCE_MS)
        label = UnitLabel(77, "/jobs/job-77", "workload", "job-77")

        def start() -> None:
            own_fleet.labels[1].append(label)
            own_fleet.update(1)

        def end() -> None:
            own_fleet.labels[1].remove(label)
            own_fleet.update(1)

        own_fleet.say(start)
        expect(page.locator("#changes li").first).to_contain_text("job-77 (workload) started on gpu-001", timeout=PATIENCE_MS)
        own_fleet.say(end)
        expect(page.locator("#changes li").first).to_contain_text("job-77 (workload) ended on gpu-001", timeout=PATIENCE_MS)
        own_fleet.say(lambda: own_fleet.pass_seconds(100, silent=frozenset({4})))
        expect(page.locator("#silents li")).to_contain_text("gpu-004", timeout=PATIENCE_MS)
        expect(page.locator("#told")).to_have_text("gpu-004 is stale", timeout=PATIENCE_MS)
        own_fleet.say(lambda: own_fleet.pass_seconds(2))
        expect(page.locator("#silent-none")).to_be_visible(timeout=PATIENCE_MS)
        assert complaints.found == []


@pytest.mark.parametrize("ahead", ["3600000", "-3600000"])
def test_a_browser_whose_clock_is_wrong_shows_the_same_ages(browser: Browser, own_fleet: ShownFleet, ahead: str) -> None:
    """An hour ahead or behind: every age is counted by steady clocks, and nobody is silent for an hour."""
    skew = f"const now = Date.now.bind(Date); Date.now = () => now() + {ahead};"
    own_fleet.say(lambda: own_fleet.pass_seconds(100, silent=frozenset({4})))
    with opened(browser, "about:blank") as (page, complaints):
        page.add_init_script(skew)
        page.goto(own_fleet.url)
        expect(page.locator("#state")).to_have_text("live, 1 s old", timeout=PATIENCE_MS)
        expect(page.locator("#silents li")).to_contain_text("stale for 2 min", timeout=PATIENCE_MS)
        assert complaints.found == []


def test_a_browser_that_slept_shows_what_is_true_now(browser: Browser, own_fleet: ShownFleet) -> None:
    """The tab was frozen, as browsers do it to save power, while a node fell silent and a workload began."""
    with opened(browser, own_fleet.url, wanted="#heat .scale span") as (page, complaints):
        expect(page.locator("#state")).to_contain_text("live", timeout=PATIENCE_MS)
        unanswered: set[str] = set()
        page.on("requestfailed", lambda request: unanswered.add(request.url))
        page.on("requestfinished", lambda request: unanswered.discard(request.url))
        devtools = page.context.new_cdp_session(page)
        devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
        own_fleet.say(lambda: own_fleet.pass_seconds(100, silent=frozenset({4})))

        def start() -> None:
            own_fleet.labels[1].append(UnitLabel(78, "/jobs/job-78", "workload", "job-78"))
            own_fleet.update(1)

        own_fleet.say(start)
        devtools.send("Page.setWebLifecycleState", {"state": "active"})
        expect(page.locator("#silents li")).to_contain_text("gpu-004", timeout=PATIENCE_MS)
        expect(page.locator("#changes li").first).to_contain_text("job-78 (workload) started on gpu-001", timeout=PATIENCE_MS)
        expect(page.locator("#state")).to_contain_text("live", timeout=PATIENCE_MS)
        # The hub closed connections that were silent for so long. A browser may find that only when it asks; the page asks again.
        while unanswered:
            page.wait_for_event("requestfinished", timeout=PATIENCE_MS)
        assert [each for each in complaints.found if not LOST_CONNECTION.search(each)] == []


@pytest.mark.parametrize("path", ["nodes", "changes"])
def test_a_question_without_an_answer_is_asked_again(browser: Browser, own_fleet: ShownFleet, path: str) -> None:
    """The stream that lives meanwhile tells only what is new."""
    with opened(browser, "about:blank") as (page, _):
        answers = deque(["abort", "abort"])
        page.route(f"**/v1/{path}", lambda route: route.abort() if answers and answers.popleft() else route.continue_())
        with page.expect_event("requestfinished", lambda request: request.url.endswith(f"/v1/{path}"), timeout=PATIENCE_MS):
            page.goto(own_fleet.url)
        assert not answers
        expect(page.locator("#state")).to_contain_text("live", timeout=PATIENCE_MS)


def test_all_tabs_have_one_stream(browser: Browser, own_fleet: ShownFleet) -> None:
    """A shared worker holds it; a later tab is whole too."""
    context = browser.new_context()
    for view in ("", "#view=nodes", "#view=workers"):
        page = context.new_page()
        page.goto(own_fleet.url + view)
        expect(page.locator("#state")).to_contain_text("live", timeout=PATIENCE_MS)
        expect(page.locator("#health")).to_have_text("11 fresh", timeout=PATIENCE_MS)
    assert own_fleet.http.stats()["streams"] == 1
    context.close()


def test_a_hub_that_suspects_itself_says_so(browser: Browser, own_fleet: ShownFleet) -> None:
    """All nodes are silent at once: it is rather the hub."""
    with opened(browser, own_fleet.url, wanted="#strip .keys li") as (page, _):
        expect(page.locator("#state")).to_contain_text("live", timeout=PATIENCE_MS)
        assert page.locator("#suspicion").is_hidden()
        own_fleet.say(lambda: own_fleet.pass_seconds(92, silent=frozenset(range(12))))
        expect(page.locator("#suspicion")).to_contain_text("look at this host and its network first", timeout=PATIENCE_MS)
        expect(page.locator("#health")).to_have_text("11 silent", timeout=PATIENCE_MS)


def test_ten_thousand_nodes_are_as_few_elements_as_forty(browser: Browser) -> None:
    """Only rows on the screen are in the document; the last one is a jump away, and a search finds any."""
    shown = ShownFleet(10_001, units=2)
    with serving_fleet(shown), opened(browser, f"{shown.url}#view=nodes", wanted="#nodes tbody th a") as (page, complaints):
        expect(page.locator("#node-count")).to_contain_text("10001 of 10001 nodes", timeout=PATIENCE_MS)
        assert page.locator("#nodes table").get_attribute("aria-rowcount") == "10002"
        assert page.locator("#nodes tr").count() < 80
        page.locator("#nodes thead button", has_text="Node").click()
        page.locator("#nodes .long").evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
        expect(page.locator("#nodes tbody tr[aria-rowindex='10002'] th")).to_have_text("node-10001", timeout=PATIENCE_MS)
        assert page.locator("#nodes tr").count() < 80
        page.locator("#search").fill("gpu-7777")
        expect(page.locator("#nodes tbody th")).to_have_text(["gpu-7777"], timeout=PATIENCE_MS)
        page.goto(f"{shown.url}#view=workers&all=yes")
        expect(page.locator("#worker-count")).to_contain_text("10000 of 10000 that fit", timeout=PATIENCE_MS)
        assert page.locator("#workers tr").count() < 80
        page.goto(f"{shown.url}#view=overview")
        expect(page.locator("#strip-about")).to_have_text("10001 nodes", timeout=PATIENCE_MS)
        assert complaints.found == []


HOSTILE = ("<img src=x onerror=alert(1)>", "\u202eabc\u2066", "n" * 4096, "a/b?c#d&e=f%00")


def test_hostile_names_are_text(browser: Browser, own_fleet: ShownFleet) -> None:
    """Markup, letters that turn the line around, and four thousand characters; each unit can still be opened."""
    labels = [UnitLabel(90 + place, f"/hostile/{place}{name[:64]}", "workload", name) for place, name in enumerate(HOSTILE)]

    def start() -> None:
        own_fleet.labels[1].extend(labels)
        own_fleet.update(1)
        own_fleet.nodes[2].label = own_fleet.nodes[2].label.__class__(HOSTILE[0], "1.0", 8, 1 << 20, 0)
        own_fleet.labels[2].append(labels[0])
        own_fleet.update(2)

    own_fleet.say(start)
    for width in (360, 1600):
        with opened(browser, f"{own_fleet.url}#node={install_id(1)}", width=width, wanted="#detail .long tbody a") as (
            page,
            complaints,
        ):
            shown = page.locator("#detail .long tbody a").all_text_contents()
            assert {each[:100] for each in HOSTILE} <= {each[:100] for each in shown}
            assert page.locator("img[src=x]").count() == 0
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            links = page.locator("#detail .long tbody a").evaluate_all("(all) => all.map((each) => [each.textContent, each.href])")
            for name, link in links:
                if name in HOSTILE:
                    page.goto(link)
                    expect(page.locator("#detail h2").first).to_have_text(name, timeout=PATIENCE_MS)
                    assert page.evaluate("document.documentElement.scrollWidth") <= width
            for view in ("#", "#view=nodes", "#view=workers", f"#node={install_id(2)}"):
                page.goto(own_fleet.url + view)
                # A hub says something each second.
                own_fleet.say(lambda: own_fleet.pass_seconds(1))
                expect(page.locator("#state")).to_contain_text("live", timeout=PATIENCE_MS)
                assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.locator("img[src=x]").count() == 0
            assert complaints.found == []


def test_a_page_of_another_origin_reads_nothing(browser: Browser, fleet: ShownFleet) -> None:
    """It gets no document, no event and no frame."""
    with opened(browser, fleet.url, wanted=WHOLE) as (page, _):
        page.route("http://evil.test/**", lambda route: route.fulfill(body="<title>evil</title>", content_type="text/html"))
        page.goto("http://evil.test/")
        tried = page.evaluate(
            """async (url) => {
              const found = {};
              found.fetch = await fetch(url + 'v1/nodes').then(() => 'read', (error) => error.name);
              const opaque = fetch(url + 'v1/nodes', { mode: 'no-cors' });
              found.opaque = await opaque.then((answer) => answer.type, (error) => error.name);
              found.stream = await new Promise((done) => {
                const source = new EventSource(url + 'v1/stream');
                source.onopen = () => done('open');
                source.onerror = () => done(source.readyState);
              });
              return found;
            }""",
            fleet.url,
        )
        assert tried == {"fetch": "TypeError", "opaque": "TypeError", "stream": 2}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_picture_shows_the_overview(browser: Browser, fleet: ShownFleet, scheme: str, tmp_path: Path) -> None:
    """EVERGAUGE_PICTURES names the folder that gets it: `EVERGAUGE_PICTURES=docs/pictures scripts/test` with this file."""
    folder = Path(os.environ.get("EVERGAUGE_PICTURES") or tmp_path)
    with opened(browser, fleet.url, width=1600, height=1000, scheme=scheme, wanted="#heat .scale span") as (page, complaints):
        page.wait_for_selector("#silents li")
        heat = page.locator("#heat").bounding_box()
        assert heat is not None
        clip: Any = {"x": 0, "y": 0, "width": 1600, "height": int(heat["y"] + heat["height"]) + 14}
        picture = page.screenshot(full_page=True, clip=clip, path=folder / f"fleet-{scheme}.png")
        assert len(picture) > 50_000
        assert complaints.found == []


def test_the_pictures_of_the_page() -> None:
    """They are made by the test above; here is what shows them."""
    for name in ("fleet-light.png", "fleet-dark.png"):
        assert (PICTURES / name).stat().st_size < 500_000
    assert "docs/pictures/fleet-dark.png" in (ROOT / "README.md").read_text()
