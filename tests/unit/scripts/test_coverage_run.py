"""Which tests are a PURE module's own, what counts as reached by them, and which tests need no Linux."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from coverage_run.pure import ALSO, import_lines, own_tests, pure_modules
from portable_tests.selection import portable_tests

ROOT = Path(__file__).parents[3]
SEED = random.SystemRandom().getrandbits(32)
SAMPLE = 5


def test_pure_modules_are_those_of_setup_cfg_with_packages_opened() -> None:
    """`agent.model` stands for all below it; files that only mark a folder are none."""
    found = pure_modules()
    assert Path("agent/model/message.py") in found
    assert Path("agent/model/control/result.py") in found
    assert Path("agent/config.py") in found
    assert all((ROOT / path).stat().st_size for path in found)
    assert len(found) == len(set(found))


def test_own_tests_are_named_after_the_module_and_after_no_other() -> None:
    """`test_secret_option.py` is that of `secret_option`; `secret` has none of its name, and is judged by its folder."""
    own = own_tests(Path("agent/model/secret_option.py"))
    assert (own.by, own.files) == ("name", (Path("tests/unit/agent/model/test_secret_option.py"),))
    assert own_tests(Path("agent/model/secret.py")).by == "folder"


def test_tests_of_another_name_are_a_module_s_own_only_where_the_table_says_so() -> None:
    """Beside those that are named after it; each of them is there."""
    machine = own_tests(Path("supervisor/core/machine.py"))
    names = [path.name for path in machine.files]
    assert machine.by == "name"
    assert {"test_machine.py", "test_takeover.py"} <= set(names)
    for module in ALSO:
        own = own_tests(Path(module))
        assert (own.by, len(set(own.files))) == ("name", len(own.files))
        assert [path for path in own.files if not (ROOT / path).is_file()] == []


def test_a_module_without_a_mirror_is_judged_by_the_files_named_after_its_folder(tmp_path: Path) -> None:
    """And one without any has none."""
    tests = tmp_path / "tests/unit/agent"
    tests.mkdir(parents=True)
    (tmp_path / "agent/doctor").mkdir(parents=True)
    (tests / "test_doctor_facts.py").touch()
    (tests / "test_other.py").touch()
    own = own_tests(Path("agent/doctor/finding.py"), tmp_path)
    assert (own.by, own.files) == ("folder", (Path("tests/unit/agent/test_doctor_facts.py"),))
    assert own_tests(Path("workers/none.py"), tmp_path).by == "none"


def test_lines_of_an_import_are_those_in_no_function() -> None:
    """The line of a `def` runs at the import, its body does not; bodies of classes do."""
    source = b"A = 1\n\n\ndef f(x: int) -> int:\n    return x\n\n\nclass C:\n    B = 2\n\n    def g(self) -> None:\n        pass\n"
    assert import_lines(source) & {1, 4, 5, 8, 9, 11, 12} == {1, 4, 8, 9, 11}


def test_portable_tests_are_many_and_none_of_them_is_of_a_module_that_touches_linux() -> None:
    """By their imports, all the way down."""
    found = portable_tests()
    assert Path("tests/unit/agent/model/test_sketch.py") in found
    assert Path("tests/unit/workers/process/test_top_n.py") in found
    assert [path for path in found if "shell" in path.parts or "samplers" in path.parts] == []
    assert len(found) > 100


@pytest.mark.timeout(240)
def test_portable_tests_need_nothing_that_only_linux_has() -> None:
    """A few of them, drawn by chance, with /proc, epoll, pidfds and the like taken away."""
    print(f"seed {SEED}")
    files = random.Random(SEED).sample(portable_tests(), SAMPLE)
    words = ["-q", "--noconftest", "-p", "portable_tests.plugin", "-p", "portable_tests.without_linux", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}/scripts:{ROOT}/tests"}
    command = [sys.executable, "-m", "pytest", *words, *map(str, files)]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=220, check=False)
    assert ended.returncode == 0, ended.stdout[-3000:]
