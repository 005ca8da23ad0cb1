"""What the lab keeps between runs: whole or not at all, and made again where it was cut; and how a first fetch is repeated."""

import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
_KEEP = f"""
set -euo pipefail
source {CHECKOUT}/scripts/environment
source {CHECKOUT}/scripts/lab/packages
make() {{ echo made >>"$LAB_CACHE/times"; printf 'a long text' >"$1/text"; mkdir "$1/sub"; echo x >"$1/sub/other"; }}
fail() {{ echo half >"$1/text"; false; echo whole >"$1/text"; }}
keep thing "$1"
"""


def _keep(cache: Path, maker: str = "make") -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", _KEEP, "lab", maker]
    return subprocess.run(
        command, env={"PATH": "/usr/bin:/bin", "LAB_CACHE": str(cache)}, capture_output=True, text=True, check=False
    )


def _times(cache: Path) -> int:
    return len((cache / "times").read_text().splitlines())


def test_a_thing_is_made_once_and_then_found(tmp_path: Path) -> None:
    """Both starts name the same folder; what Python compiles there later changes nothing."""
    for _ in range(2):
        ended = _keep(tmp_path)
        assert (ended.returncode, ended.stdout) == (0, f"{tmp_path}/thing\n"), ended.stderr
        (tmp_path / "thing" / "sub" / "other.pyc").write_text("compiled")
    assert _times(tmp_path) == 1


def test_a_maker_that_fails_half_way_leaves_no_thing(tmp_path: Path) -> None:
    """Its exit code is an error, and the next start makes it from the beginning."""
    assert _keep(tmp_path, "fail").returncode != 0
    assert not (tmp_path / "thing").exists()
    assert _keep(tmp_path).returncode == 0
    assert (tmp_path / "thing" / "text").read_text() == "a long text"


@pytest.mark.parametrize("harm", ["cut", "remove"])
def test_a_cut_or_missing_file_is_found_before_anything_uses_it(tmp_path: Path, harm: str) -> None:
    """As a full disk or a copy of half of the cache leaves it: said in a sentence, and made again."""
    _keep(tmp_path)
    text = tmp_path / "thing" / "text"
    if harm == "cut":
        text.write_text("a lo")
    else:
        text.unlink()
    ended = _keep(tmp_path)
    assert (ended.returncode, "is damaged; making it again" in ended.stderr) == (0, True), ended.stderr
    assert text.read_text() == "a long text"
    assert _times(tmp_path) == 2


def test_a_thing_of_an_older_maker_which_left_no_list_is_taken_as_it_is(tmp_path: Path) -> None:
    """It costs nothing new; what is made from now on has a list."""
    (tmp_path / "thing").mkdir()
    assert _keep(tmp_path).returncode == 0
    assert not (tmp_path / "times").exists()


@pytest.mark.parametrize(("failures", "tries", "code"), [(0, 1, 0), (2, 3, 0), (9, 3, 1)])
def test_what_is_refused_is_asked_for_three_times(tmp_path: Path, failures: int, tries: int, code: int) -> None:
    """The whole test run of a fresh machine survives a server that refuses once or twice; it does not ask for ever."""
    text = (CHECKOUT / ".ci" / "run").read_text()
    again = text[text.index("again() {") : text.index("\n}\n") + 3]
    # A command that fails so often, and what each try sees.
    ask = f'echo "${{PIP_NO_CACHE_DIR:-}}" >>{tmp_path}/tries; test "$(wc -l <{tmp_path}/tries)" -gt {failures}'
    script = f"set -euo pipefail\nsleep() {{ :; }}\nlogs={tmp_path} try_seconds=30\n{again}\nagain sh -c '{ask}'"
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=50, check=False)
    assert ended.returncode == code, ended.stderr
    # What a first try may have left in caches is not used by the later ones.
    assert (tmp_path / "tries").read_text().split("\n") == ["", *["1"] * (tries - 1), ""]
