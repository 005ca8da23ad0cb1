"""A real hub and a real node, and what a real browser shows of them."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from fakes.browser import NEEDS_CHROMIUM, PATIENCE_MS, WATCH_STARTS, opened, running_chromium
from fakes.fleet import Hub, free_ports, hub_agent, join, node_agent
from fakes.keeper_world import own_tree
from fakes.workload_agent import end_with_workloads
from harness.agent_process import AgentProcess
from harness.sinks.certificates import Authority
from harness.waiting import wait_until
from playwright.sync_api import Page, expect

pytestmark = [NEEDS_CHROMIUM, pytest.mark.timeout(240)]
STARTS = 20
TOKEN = "a-token-of-some-length"


class ShownHub:
    """A hub with one node that runs workloads, and its page."""

    def __init__(self, hub: Hub, node: AgentProcess, url: str) -> None:
        self.hub = hub
        self.node = node
        self.url = url


@contextmanager
def shown_hub(folder: Path, name: str, **flags: str) -> Iterator[ShownHub]:
    """The page has a port that stays when the worker is started again. `flags` are the hub's."""
    with ExitStack() as stack:
        tree = stack.enter_context(own_tree(str(abs(hash(name)) % 10**8)))
        [port] = free_ports(1)
        hub = Hub(stack.enter_context(hub_agent(folder / "h", **{"--hub-port": str(port), **flags})))
        node = node_agent(folder / "n", "node-1", **{"--kernel-cgroup-root": str(tree)})
        assert join(node, hub.invite(), "--host", "node-1")[0] == 0
        stack.enter_context(node)
        stack.callback(end_with_workloads, node, tree)
        hub.wait_state("node-1", "fresh")
        # What runs when a node tells for the first time is what the hub finds there, and no start.
        wait_until(lambda: hub.nodes()["node-1"]["age_seconds"] is not None, "the hub has what the node has")
        scheme = "https" if flags else "http"
        yield ShownHub(hub, node, f"{scheme}://127.0.0.1:{port}/")


@pytest.fixture
def shown(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ShownHub]:
    """On the loopback device, for everybody on this host."""
    with shown_hub(tmp_path, request.node.nodeid) as made:
        yield made


def wait_live(page: Page) -> None:
    """Until the page has its stream and the node."""
    expect(page.locator("#state")).to_contain_text("live", timeout=PATIENCE_MS)
    expect(page.locator("#health")).to_have_text("all present", timeout=PATIENCE_MS)


def test_hub_list_says_where_the_page_is(shown: ShownHub) -> None:
    """In words and in the document."""
    assert shown.hub.agent.call("hub-list")["page"] == shown.url
    assert shown.url in shown.hub.ctl("hub", "list")[1]


def test_a_start_is_on_the_screen_soon(shown: ShownHub) -> None:
    """From the order on the node to what the browser has painted. The figures are printed, for who measures."""
    with running_chromium() as browser, opened(browser, shown.url) as (page, complaints):
        wait_live(page)
        page.evaluate(WATCH_STARTS)
        took = []
        for number in range(STARTS):
            name = f"job-{number}"
            begin = time.time()
            shown.node.call("run-workload", workload={"name": name, "argv": ["sleep", "1000"]})
            page.wait_for_function("(name) => window.seen[name] > 0", arg=name)
            took.append(page.evaluate("(name) => window.seen[name]", name) / 1000 - begin)
        took.sort()
        print(f"start to screen: p50 {1000 * took[STARTS // 2]:.0f} ms, most {1000 * took[-1]:.0f} ms, {STARTS} starts")
        # What this machine gives while other tests run; it is measured alone.
        assert took[-1] < 10
        page.goto(f"{shown.url}#view=workers")
        expect(page.locator("#workers tbody th a", has_text="job-0")).to_be_visible(timeout=PATIENCE_MS)
        assert complaints.found == []


def test_the_page_comes_back_after_its_hub_was_killed(shown: ShownHub) -> None:
    """By itself, with what the next hub knows."""
    with running_chromium() as browser, opened(browser, shown.url) as (page, _):
        wait_live(page)
        killed = shown.hub.agent.workers()["hub"]["pid"]
        os.kill(killed, signal.SIGKILL)
        # That the connection was lost may be shown for less time than the test takes to look.
        wait_until(lambda: shown.hub.agent.workers()["hub"]["pid"] not in (None, killed), "the hub is there again")
        wait_live(page)
        # What runs when a node first tells the next hub is what it finds there, and no start.
        wait_until(lambda: shown.hub.nodes()["node-1"]["age_seconds"] is not None, "the next hub has what the node has")
        shown.node.call("run-workload", workload={"name": "after", "argv": ["sleep", "1000"]})
        started = page.locator("#changes li.started", has_text="after (workload) started on node-1")
        expect(started.first).to_be_visible(timeout=PATIENCE_MS)


def test_the_page_behind_tls_is_for_who_has_the_token(tmp_path: Path) -> None:
    """Brought once in the address, which it leaves; the stream and the other tabs have it from the browser."""
    identity = Authority(tmp_path / "authority").server("localhost")
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    flags = {"cert": str(identity.certificate), "key": str(identity.key)}
    settings = {f"--hub-tls-{name}-file": path for name, path in flags.items()} | {"--hub-token-file": str(token)}
    with shown_hub(tmp_path, "token", **settings) as shown, running_chromium() as browser:
        with opened(browser, shown.url, ignore_https_errors=True) as (page, _):
            assert "A token is needed" in page.content()
            page.goto(f"{shown.url}?token=another-token-of-some-length")
            assert "not the token of this server" in page.content()
        with opened(browser, f"{shown.url}?token={TOKEN}#view=nodes", ignore_https_errors=True) as (page, complaints):
            wait_live(page)
            assert TOKEN not in page.url
            assert page.evaluate("document.cookie") == ""
            shown.node.call("run-workload", workload={"name": "seen", "argv": ["sleep", "1000"]})
            other = page.context.new_page()
            other.goto(shown.url)
            wait_live(other)
            started = other.locator("#changes li.started", has_text="seen (workload) started on node-1")
            expect(started.first).to_be_visible(timeout=PATIENCE_MS)
            assert complaints.found == []
