"""A stand-in for NVIDIA's driver library, under the real nvidia-ml-py: `nvml_stub.c`, compiled, and its scenario file."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).with_name("nvml_stub.c")
LIBRARY = "libnvidia-ml.so.1"


class NvmlStub:
    """A library in `folder` that answers what its scenario says, as it is at each call. `options`: such as -DWITHOUT_symbol."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder / "nvml"
        self.folder.mkdir(parents=True)
        self._scenario = self.folder / "scenario"
        self._lines: dict[str, str] = {}
        compiler = ["gcc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", f"-Wl,-soname,{LIBRARY}", *options]
        subprocess.run([*compiler, "-o", str(self.folder / LIBRARY), str(SOURCE)], check=True, timeout=60)
        self.say("count 1")

    @property
    def environment(self) -> dict[str, str]:
        """With these variables a program finds it instead of a real one."""
        return {"LD_LIBRARY_PATH": str(self.folder), "NVML_STUB": str(self._scenario)}

    def say(self, *lines: str) -> None:
        """Have these lines in the scenario; a line that says something else of the same thing replaces it."""
        for line in lines:
            self._lines[_subject(line)] = line
        self._write()

    def unsay(self, *beginnings: str) -> None:
        """Take lines out that begin so."""
        self._lines = {subject: line for subject, line in self._lines.items() if not line.startswith(beginnings)}
        self._write()

    def _write(self) -> None:
        # In one step: the library may read at any moment.
        new = self._scenario.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in self._lines.values()))
        new.rename(self._scenario)


# How many words of a line say what it is about.
_SUBJECT_WORDS = {"gpu": 3, "process": 4, "sample": 3, "slice": 3, "error": 3, "hang": 2, "xid": 2}


def _subject(line: str) -> str:
    words = line.split()
    return " ".join(words[: _SUBJECT_WORDS.get(words[0], 1)])


def write_program(path: Path, lines: Sequence[str]) -> None:
    """A shell program that stands in for another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
