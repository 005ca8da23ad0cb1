"""The processes of the load, which the C program `load.c` makes; they end with the context, also when the benchmark is killed."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).with_name("load.c")
END_SECONDS = 30.0


class LoadError(Exception):
    """The load cannot be made; the words say why."""


def build(folder: Path) -> Path:
    """Compile the program into a folder. *Raises:* LoadError."""
    if shutil.which("gcc") is None:
        raise LoadError("needs gcc; on Debian: apt-get install gcc libc6-dev")
    program = folder / "load"
    # Linked statically it has fewer pages to copy, and a fork costs half.
    command = ["gcc", "-O2", "-static", "-pthread", "-o", str(program), str(SOURCE), "-lm"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise LoadError(f"gcc failed: {made.stderr.strip()}")
    return program


@contextmanager
def running(program: Path, words: Sequence[str | float | Path], groups: Sequence[Path] = ()) -> Iterator["subprocess.Popen[str]"]:
    """A load that is complete, in these control groups; ended and reaped when the context ends. *Raises:* LoadError."""

    def enter() -> None:
        for group in groups:
            (group / "cgroup.procs").write_text("0")

    process = subprocess.Popen(
        [str(program), *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=enter
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "ready\n":
            raise LoadError(f"{' '.join(map(str, words))} ended: not enough processes or memory on this machine?")
        yield process
    finally:
        process.stdin.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(END_SECONDS)
        process.stdout.close()
