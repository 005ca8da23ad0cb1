"""The rivals in a folder of their own: Debian packages are fetched and unpacked, never installed; psutil has an environment."""

import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from supervisors.toolchain import FOLDER, SetUpError, download, output_of, try_command, version_of

PACKAGES = ("netdata-core", "sysstat", "atop", "prometheus-process-exporter")
PYTHON_PACKAGES = ("psutil", "matplotlib")
# What these programs are linked with beyond what every Debian has.
LIBRARIES = {"atop": ("libncursesw6", "libtinfo6"), "netdata-core": ("libcap2",)}
Say = Callable[[str], None]


@dataclass(slots=True)
class Toolchain:
    """Where everything is; `missing` says of each package that cannot be had why, `versions` what runs."""

    root: Path = FOLDER / "process"
    python: str = ""
    missing: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def unpacked(self, path: str) -> str:
        """A file of a Debian package."""
        return str(self.root / path)

    @property
    def libraries(self) -> str:
        """The search path for the libraries of the unpacked packages."""
        return ":".join(sorted({str(path.parent) for path in self.root.rglob("lib*.so.*")}))


def set_up(wanted: Iterable[str], say: Say) -> Toolchain:
    """Fetch what is not there yet; what cannot be had is named as missing."""
    toolchain = Toolchain()
    toolchain.root.mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys(wanted):
        try:
            if name in PACKAGES:
                toolchain.versions[name] = _unpack(name, toolchain, say)
            elif name in PYTHON_PACKAGES:
                toolchain.versions[name] = _install(name, toolchain, say)
        except (SetUpError, OSError) as failure:
            toolchain.missing[name] = str(failure)
            say(f"{name} is missing: {failure}")
    return toolchain


def _unpack(name: str, toolchain: Toolchain, say: Say) -> str:
    stamp = toolchain.root / f"{name}.version"
    if not stamp.exists():
        say(f"fetching the Debian package {name}")
        archives = FOLDER / "archives"
        archives.mkdir(exist_ok=True)
        version = ""
        for package in (name, *LIBRARIES.get(name, ())):
            archive = download(package, archives)
            if archive is None:
                raise SetUpError(f"the Debian package {package} cannot be fetched (is apt set up, is there a network?)")
            output_of(["dpkg", "-x", str(archive), str(toolchain.root)])
            version = version or output_of(["dpkg-deb", "-f", str(archive), "Version"])
        stamp.write_text(version + "\n")
    return stamp.read_text().strip()


def _install(name: str, toolchain: Toolchain, say: Say) -> str:
    python = FOLDER / "python" / "bin" / "python"
    if not python.exists():
        say("making an environment for the Python rivals")
        output_of([sys.executable, "-m", "venv", "--clear", str(python.parents[1])])
    toolchain.python = str(python)
    if not version_of(str(python), name):
        say(f"installing {name}")
        try_command([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", name], FOLDER)
    version = version_of(str(python), name)
    if not version:
        raise SetUpError(f"pip could not install {name}")
    return version


def draw(toolchain: Toolchain, document: Path, picture: Path) -> bool:
    """Draw the results; gives whether it could."""
    words = [toolchain.python, str(Path(__file__).with_name("render.py")), str(document), str(picture)]
    return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode == 0
