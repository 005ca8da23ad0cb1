"""`scripts/schema-check` as a person runs it: what BASE can be, what it says, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from schema_gate import kept

ROOT = Path(__file__).parents[2]

COMMAND = str(ROOT / "scripts" / "schema-check")
KEPT = sorted((ROOT / "docs" / "schema").glob("*.json"))
pytestmark = pytest.mark.timeout(120)


def check(*words: str) -> subprocess.CompletedProcess[str]:
    """Run it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVERGAUGE_")}
    return subprocess.run([COMMAND, *words], capture_output=True, text=True, timeout=100, check=False, env=environment)


def test_the_present_state_follows_the_newest_release() -> None:
    """Without a base, and with the release by its name."""
    ended = check()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "schema: only additions since release" in ended.stdout
    assert check(KEPT[-1].stem).returncode == 0


def test_a_release_that_had_more_is_not_followed(tmp_path: Path) -> None:
    """A base with a column and a field that are gone here: two sentences, and 1."""
    base = json.loads(KEPT[-1].read_text())
    base["tables"]["gap"]["columns"].append({"name": "cause", "type": "utf8", "unit": "", "nullable": True})
    base["messages"]["Bye"]["fields"].append({"name": "why", "type": "str", "default": '""'})
    path = tmp_path / "base.json"
    path.write_text(json.dumps(base))
    ended = check(str(path))
    assert ended.returncode == 1
    refused = [line for line in ended.stdout.splitlines() if line.startswith("refused: ")]
    assert refused[0].startswith("refused: column cause of table gap was removed or renamed: put it back")
    assert refused[-1].startswith("refused: field why of message Bye was removed or renamed: put it back")
    assert len(refused) == 2
    assert f"2 differences from file {path} are no additions" in ended.stderr


def test_a_base_that_is_nothing_is_misuse(tmp_path: Path) -> None:
    """Each with a sentence that names what there is."""
    ended = check("no-such-base")
    assert ended.returncode == 64
    assert "no-such-base is no kept release (there are: " in ended.stderr
    path = tmp_path / "broken.json"
    path.write_text("{}")
    ended = check(str(path))
    assert ended.returncode == 64
    assert f"{path} cannot be used: it is no declaration" in ended.stderr
    assert check("--unknown").returncode == 64
    assert check("--print", "main").returncode == 64


def test_it_prints_what_it_would_keep() -> None:
    """The text is a base that nothing differs from."""
    ended = check("--print")
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["tables"].keys() >= json.loads(KEPT[-1].read_text())["tables"].keys()


def test_a_git_revision_is_a_base_where_it_kept_a_declaration(tmp_path: Path) -> None:
    """A repository of its own, with one commit before the declaration and one with it."""

    def git(*words: str) -> None:
        names = ("-c", "user.name=n", "-c", "user.email=e@localhost", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(tmp_path), *names, *words], check=True, capture_output=True, timeout=30)

    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "before")
    folder = tmp_path / "docs" / "schema"
    folder.mkdir(parents=True)
    (folder / "0.1.0.json").write_text(KEPT[0].read_text())
    git("add", ".")
    git("commit", "-q", "-m", "with")
    what, found = kept.base_of("HEAD", tmp_path)
    assert what == "release 0.1.0 as HEAD kept it"
    assert found.version == "0.1.0"
    with pytest.raises(kept.MisuseOfBase, match="at HEAD~1 docs/schema kept no declaration"):
        kept.base_of("HEAD~1", tmp_path)
    with pytest.raises(kept.MisuseOfBase, match="no git revision that is here"):
        kept.base_of("--help", tmp_path)
