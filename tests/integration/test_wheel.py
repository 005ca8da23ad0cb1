"""The wheel: laid beside another project's `supervisor`, taken away again, and neither harms the other."""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

# Pip is called seven times and an agent is started twice.
pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).parents[2]
SOURCES = ("agent", "evergauge", "supervisor", "workers")
# What the other project's package holds; its own programs import it.
THEIRS = {"supervisor/__init__.py": "ours = False\n", "supervisor/options.py": "from supervisor import ours\n"}


def pip(folder: Path, *arguments: str) -> None:
    """Pip of the tests' environment, working on another one; it asks no network."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(folder / "bin/python")]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our wheel, built from a copy of the sources as `pip wheel .` builds it."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.cfg", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    # As if an older version had been built here before, with its packages at the top.
    (source / "build/lib/supervisor").mkdir(parents=True)
    (source / "build/lib/supervisor/__init__.py").write_text("")
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", build, str(source / "made")]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return next((source / "made").glob("evergauge-*.whl"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of another project whose package is called `supervisor`."""
    path = tmp_path_factory.mktemp("other") / "supervisor-4.3.0-py3-none-any.whl"
    info = "supervisor-4.3.0.dist-info"
    files = {
        **THEIRS,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: supervisor\nVersion: 4.3.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: a-test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{name},sha256={_digest(text)},{len(text)}" for name, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def _digest(text: str) -> str:
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


class Installation:
    """An environment without a network: the packages that ours needs are those of the tests' own environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=False)
        self.packages = next(folder.glob("lib/python*/site-packages"))
        # For what is run, not for pip: it must see what is installed here alone. Lines of .pth files do not count there, so the
        # editable installation of the checkout stays out.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("EVERGAUGE_", "PYTHON"))}
        self.environment["PYTHONPATH"] = sysconfig.get_path("purelib")

    def run(self, *command: str) -> str:
        """What a program of this environment prints."""
        words = [str(self.folder / "bin" / command[0]), *command[1:]]
        done = subprocess.run(words, env=self.environment, cwd="/", capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def assert_theirs_is_whole(self) -> None:
        """Every file of the other project is there as it came, no other is beside them, and its code finds its own."""
        found = self.packages.glob("supervisor/**/*.py")
        assert {str(path.relative_to(self.packages)): path.read_text() for path in found} == THEIRS
        assert self.run("python", "-c", "from supervisor.options import ours; print(ours)") == "False\n"

    def assert_ours_works(self, state: Path) -> None:
        """Both programs run, and an agent with all its processes becomes ready and stores rows."""
        assert self.run("agentctl", "--version").startswith("agentctl ")
        state.mkdir()
        agent = AgentProcess(state, program=(str(self.folder / "bin/agentd"),), environment=self.environment)
        with agent:
            wait_until(lambda: agent.call("rotate")["rows"] > 0, "rows are stored")
            status = self.run("agentctl", "--runtime-dir", str(agent.runtime_dir), "status")
            assert status.startswith("ready")


def names_at_the_top(installation: Installation) -> set[str]:
    """What lies beside other projects' packages."""
    return {path.name for path in installation.packages.iterdir() if not path.name.endswith((".dist-info", "__pycache__"))}


def test_the_wheel_holds_every_module_and_one_name_at_the_top(wheel: Path) -> None:
    """Nothing is left out, and nothing of a former build is in it."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        info = next(name for name in names if name.endswith("/top_level.txt"))
        assert archive.read(info) == b"evergauge\n"
    modules = {name for name in names if name.endswith(".py")}
    inner = {path for name in SOURCES[:1] + SOURCES[2:] for path in (ROOT / name).rglob("*.py")}
    assert modules == {"evergauge/__init__.py"} | {f"evergauge/packages/{path.relative_to(ROOT)}" for path in inner}
    assert {name.split("/")[0] for name in names} == {"evergauge", Path(info).parent.name}
    # Pages and what they load, with the library of charts where it was fetched.
    data = {path for path in (ROOT / "workers").rglob("*") if path.suffix in (".html", ".css", ".js", ".svg", ".LICENSE")}
    assert {f"evergauge/packages/{path.relative_to(ROOT)}" for path in data} <= set(names)


def test_beside_another_projects_supervisor_both_work_and_each_goes_alone(wheel: Path, other: Path, tmp_path: Path) -> None:
    """Installed and removed in both orders; what stays is whole and runs."""
    installation = Installation(tmp_path / "venv")
    pip(installation.folder, "install", "--no-index", "--no-deps", str(other))
    pip(installation.folder, "install", "--no-index", "--no-deps", str(wheel))
    assert names_at_the_top(installation) == {"evergauge", "supervisor"}
    installation.assert_theirs_is_whole()
    installation.assert_ours_works(tmp_path / "beside")
    pip(installation.folder, "uninstall", "--yes", "evergauge")
    installation.assert_theirs_is_whole()
    assert names_at_the_top(installation) == {"supervisor"}
    pip(installation.folder, "uninstall", "--yes", "supervisor")
    pip(installation.folder, "install", "--no-index", "--no-deps", str(wheel))
    pip(installation.folder, "install", "--no-index", "--no-deps", str(other))
    installation.assert_theirs_is_whole()
    pip(installation.folder, "uninstall", "--yes", "supervisor")
    installation.assert_ours_works(tmp_path / "alone")
    assert names_at_the_top(installation) == {"evergauge"}
