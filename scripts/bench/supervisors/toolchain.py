"""What the benchmark runs: the child, and the rivals in a folder of their own, so that the system stays as it is.

Debian packages are fetched by apt and unpacked, never installed; Python rivals get an environment of their own.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FOLDER = ROOT / ".bench"
# s6 needs its own libraries beside it; of the rest of Debian nothing.
PACKAGES = ("s6", "runit")
LIBRARIES = re.compile(r"\blib(?:s6|skarnet|execline)[-.0-9a-z]*")
PYTHON_RIVALS = ("supervisor", "circus", "gunicorn")
SYSTEMD = Path("/lib/systemd/systemd")
Say = Callable[[str], None]


class SetUpError(Exception):
    """Something without which nothing can be measured; the text says the remedy."""


@dataclass(slots=True)
class Toolchain:
    """Where everything is; `missing` says of each rival that cannot run why, `versions` what runs."""

    child: str = ""
    packages: str = ""
    python: str = ""
    missing: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """For the process that measures."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Toolchain":
        """The toolchain that `to_json` wrote."""
        return cls(**json.loads(text))

    def tool(self, name: str) -> str:
        """A program of an unpacked Debian package."""
        return f"{self.packages}/usr/bin/{name}"

    def python_tool(self, name: str) -> str:
        """A program of a Python rival."""
        return str(Path(self.python).with_name(name))

    @property
    def libraries(self) -> str:
        """The search path for the libraries of the unpacked packages."""
        folders = {str(path.parent) for path in Path(self.packages).rglob("lib*.so.*")}
        return ":".join(sorted(folders))


def set_up(say: Say) -> Toolchain:
    """Everything that is not there yet. *Raises:* SetUpError when not even the child can be made."""
    FOLDER.mkdir(exist_ok=True)
    toolchain = Toolchain(child=_make_child(say))
    _add_packages(toolchain, say)
    _add_python_rivals(toolchain, say)
    _add_systemd(toolchain)
    return toolchain


def _make_child(say: Say) -> str:
    source, program = HERE / "child.c", FOLDER / "child"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        say("compiling the child")
        done = subprocess.run(
            ["gcc", "-O2", "-Wall", "-static", "-o", f"{program}.new", source], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SetUpError(f"{done.stderr.strip()}\nthe child cannot be compiled; on Debian: apt-get install gcc libc6-dev")
        Path(f"{program}.new").rename(program)
    return str(program)


# ---- Debian packages -------------------------------------------------------------------------------


def _add_packages(toolchain: Toolchain, say: Say) -> None:
    toolchain.packages = str(FOLDER / "packages")
    has_tools = all(shutil.which(tool) for tool in ("apt-get", "dpkg", "dpkg-deb"))
    for name in PACKAGES:
        if not has_tools:
            toolchain.missing[name] = "a Debian package, and this machine has not all of apt-get, dpkg and dpkg-deb"
            continue
        stamp = FOLDER / "packages" / f"{name}.version"
        if not stamp.exists():
            say(f"fetching the Debian package {name}")
            problem = _unpack(name, FOLDER / "packages")
            if problem:
                toolchain.missing[name] = problem
                continue
        toolchain.versions[name] = stamp.read_text().strip()


def _unpack(name: str, target: Path) -> str:
    """Unpack a package and those libraries of it that are not everybody's; gives what went wrong, or nothing."""
    archives = FOLDER / "archives"
    archives.mkdir(exist_ok=True)
    target.mkdir(exist_ok=True)
    wanted, had, version = [name], set(), ""
    while wanted:
        package = wanted.pop()
        archive = download(package, archives)
        if archive is None:
            return f"the Debian package {package} cannot be fetched (is apt set up, is there a network?)"
        output_of(["dpkg", "-x", str(archive), str(target)])
        had.add(package)
        version = version or output_of(["dpkg-deb", "-f", str(archive), "Version"])
        wanted += sorted(set(LIBRARIES.findall(output_of(["dpkg-deb", "-f", str(archive), "Depends"]))) - had - set(wanted))
    (target / f"{name}.version").write_text(version + "\n")
    return ""


def download(package: str, folder: Path) -> Path | None:
    """The archive of a package: with the package lists that are there, else with fresh ones of our own."""
    lists = FOLDER / "lists"
    own = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={FOLDER / 'cache'}"]
    for options in ([], own):
        if options and not lists.exists():
            for part in ("lists", "cache"):
                (FOLDER / part / "partial").mkdir(parents=True)
            try_command(["apt-get", *options, "-qq", "-o", "APT::Sandbox::User=root", "update"], folder)
        if try_command(["apt-get", *options, "-qq", "-o", "APT::Sandbox::User=root", "download", package], folder):
            return max(folder.glob(f"{package}_*.deb"), key=lambda path: path.stat().st_mtime, default=None)
    return None


# ---- Python rivals and systemd ---------------------------------------------------------------------


def _add_python_rivals(toolchain: Toolchain, say: Say) -> None:
    environment = FOLDER / "python"
    python = environment / "bin" / "python"
    if not python.exists():
        say("making an environment for the Python rivals")
        output_of([sys.executable, "-m", "venv", "--clear", str(environment)])
    toolchain.python = str(python)
    for name in (*PYTHON_RIVALS, "matplotlib"):
        if not version_of(toolchain.python, name):
            say(f"installing {name}")
            try_command([toolchain.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", name], FOLDER)
        version = version_of(toolchain.python, name)
        if version:
            toolchain.versions[name] = version
        else:
            toolchain.missing[name] = f"pip could not install {name}"


def version_of(python: str, name: str) -> str:
    code = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    done = subprocess.run([python, "-c", code, name], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _add_systemd(toolchain: Toolchain) -> None:
    if SYSTEMD.exists() and shutil.which("systemctl"):
        # `systemd 252 (252.39-1~deb12u2)`
        toolchain.versions["systemd"] = output_of([str(SYSTEMD), "--version"]).split()[1]
    else:
        toolchain.missing["systemd"] = "not installed; on Debian: apt-get install systemd"


# ---- commands --------------------------------------------------------------------------------------


def output_of(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SetUpError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def try_command(command: list[str], folder: Path) -> bool:
    """Whether a command succeeded that may fail; its own words go to stderr, for anyone who wants to know why."""
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode == 0
