"""`agentctl list-pods`: names, conditions, uids where there is room, and names that were made to deceive."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.control_server import FakeControlServer
from fakes.listed_pod import pod_list, pod_row
from fakes.terminal import TerminalOutput

from agent.cli.program import run
from agent.cli.width import display_width
from agent.model.errors import ExitCode

UID = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"
WEB = pod_row(
    UID,
    namespace="shop",
    name="web-0",
    labels={"app": "web", "tier": "front"},
    containers=2,
    container_names={"c1": "nginx", "c2": "log"},
    group="front",
    total_containers=2,
    reconciled_containers=1,
)
DB = pod_row("u-db", namespace="shop-test", name="db-0", labels={"app": "db"}, group_state="failed", group_problem="capacity")
NGINX = pod_row("/system.slice/nginx.service", kind="service", name="nginx.service")
NAMELESS = pod_row("u-new")

Program = Callable[..., str]


@pytest.fixture
def list_pods(tmp_path: Path) -> Program:
    """The output of a command line that succeeds."""

    def call(*words: str, is_terminal: bool = False) -> str:
        output = TerminalOutput() if is_terminal else io.StringIO()
        warnings = io.StringIO()
        assert run(["list-pods", *words], {"EVERGAUGE_RUNTIME_DIR": str(tmp_path)}, output, warnings) == 0
        assert warnings.getvalue() == ""
        return output.getvalue()

    return call


def test_pods_have_their_names_and_uids(tmp_path: Path, list_pods: Program) -> None:
    """A pod that nobody named has its uid in place of a name; a service is its own."""
    with FakeControlServer(str(tmp_path), {"list-pods": pod_list(WEB, DB, NGINX, NAMELESS)}):
        title, *lines = list_pods().splitlines()
    assert title.split() == ["KIND", "POD", "UID", "CONTAINERS", "GROUP", "GROUP", "STATE"]
    assert [line.split()[:3] for line in lines] == [
        ["pod", "shop-test/db-0", "u-db"],
        ["pod", "shop/web-0", UID],
        ["pod", "u-new", "-"],
        ["service", "nginx.service", "-"],
    ]
    assert [line.split()[-1] for line in lines if "shop" in line] == ["capacity", "exists"]
    assert "1 of 2 grouped" in lines[1]


def test_wide_shows_labels_and_containers(tmp_path: Path, list_pods: Program) -> None:
    """And why a group is as it is."""
    full = pod_row("u-db", namespace="shop", name="db", group_state="failed", group_problem="capacity", group_detail="Out of RMIDs")
    with FakeControlServer(str(tmp_path), {"list-pods": pod_list(WEB, full)}):
        text = list_pods("--wide")
    assert "app=web,tier=front" in text
    assert "log,nginx" in text
    assert "Out of RMIDs" in text


def test_a_narrow_terminal_leaves_out_uids(tmp_path: Path, list_pods: Program) -> None:
    """Names need the room; --wide and --json have uids."""
    long = pod_row(UID, namespace="production", name="checkout-7d9c5b8f6d-x2k4p", group=UID)
    with FakeControlServer(str(tmp_path), {"list-pods": pod_list(long)}):
        assert "UID" not in list_pods(is_terminal=True).splitlines()[0]
        assert "checkout-7d9c5b8f6d-x2k4p" in list_pods(is_terminal=True)
        assert "UID" in list_pods("--wide", is_terminal=True).splitlines()[0]


@pytest.mark.parametrize(
    ("words", "uids"),
    [
        (["--namespace", "shop"], [UID]),
        (["--namespace", "shop*"], [UID, "u-db"]),
        (["--pod", "*-0", "--namespace", "shop-*"], ["u-db"]),
        (["--label", "app=web", "--label", "tier=front"], [UID]),
        (["--label", "app=web", "--label", "tier=back"], []),
        (["--kind", "service"], ["/system.slice/nginx.service"]),
        (["--pod", "nginx.service"], ["/system.slice/nginx.service"]),
    ],
)
def test_conditions_mean_what_they_mean_in_a_rule(words: list[str], uids: list[str], tmp_path: Path, list_pods: Program) -> None:
    """All must hold; also of the JSON."""
    with FakeControlServer(str(tmp_path), {"list-pods": pod_list(WEB, DB, NGINX, NAMELESS)}):
        assert [pod["uid"] for pod in json.loads(list_pods(*words, "--json"))["pods"]] == uids


def test_nothing_found_says_whether_names_are_known(tmp_path: Path, list_pods: Program) -> None:
    """Where no runtime reports names, a wrong condition is not what is wrong."""
    with FakeControlServer(str(tmp_path), {"list-pods": pod_list(WEB)}):
        assert list_pods("--namespace", "shpo") == "no match among 1 pods and units\n"
    (tmp_path / "control.sock").unlink(missing_ok=True)
    with FakeControlServer(str(tmp_path), {"list-pods": pod_list(NAMELESS, NGINX)}):
        assert "`agentctl doctor` says why" in list_pods("--namespace", "shop")


def test_an_empty_pattern_is_refused_as_in_a_rule(tmp_path: Path) -> None:
    """It would match no pod, which nobody means."""
    for option in ("--namespace", "--pod"):
        warnings = io.StringIO()
        assert run(["list-pods", option, ""], {"EVERGAUGE_RUNTIME_DIR": str(tmp_path)}, io.StringIO(), warnings) == ExitCode.MISUSE
        assert f"{option}: an empty pattern matches no pod; `*` matches every one" in warnings.getvalue()


def test_wide_cuts_nothing(tmp_path: Path, list_pods: Program) -> None:
    """A terminal wraps it: a name of six letters and a mark is of no use to anybody."""
    long = pod_row(UID, namespace="production", name="checkout-7d9c5b8f6d-x2k4p", group=UID, labels={"app": "checkout" * 5})
    with FakeControlServer(str(tmp_path), {"list-pods": pod_list(long)}):
        text = list_pods("--wide", is_terminal=True)
    assert {"production/checkout-7d9c5b8f6d-x2k4p", UID, f"app={'checkout' * 5}"} <= set(text.split())


HOSTILE = ("\x1b[2J\x1b]0;owned\x07", "web\u202etxt.exe", "a" * 1_000_000, "负载均衡器" * 9, "line\nbreak", "\udcff\udc80")


@pytest.mark.parametrize("name", HOSTILE, ids=["escape", "bidi", "megabyte", "wide", "newline", "surrogate"])
def test_names_that_deceive_stay_readable(name: str, tmp_path: Path, list_pods: Program) -> None:
    """Each pod is one line within the terminal, whatever it and its labels and containers are called."""
    bad = pod_row("u-1", namespace=name, name=name, labels={name: name}, container_names={name: name})
    with FakeControlServer(str(tmp_path), {"list-pods": pod_list(bad, WEB)}):
        for words in ([], ["--wide"]):
            text = list_pods(*words, is_terminal=True)
            lines = text.splitlines()
            assert len(lines) == 3
            assert all(letter.isprintable() for line in lines for letter in line)
            assert words or max(map(display_width, lines)) <= 80
        assert json.loads(list_pods("--json"))["pods"][0]["uid"] == "u-1"
