"""An emulated resctrl mount of its own for each measurement, and its truth."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.waiting import wait_until

from resctrl_bench.place import Place

PROFILE = "intel-2socket"
START_SECONDS = 20.0
END_SECONDS = 10.0
ANSWER_SECONDS = 30.0
Truth = dict[str, Any]


@dataclass(slots=True)
class Emulator:
    """One emulator that is mounted."""

    mount: Path
    control: Path
    _client: socket.socket = field(repr=False)
    _buffer: bytes = b""

    def ask(self, **document: Any) -> Truth:
        """One request on its control socket. *Raises:* RuntimeError with its words."""
        self._client.sendall(json.dumps(document).encode() + b"\n")
        while b"\n" not in self._buffer:
            data = self._client.recv(1 << 20)
            if not data:
                raise RuntimeError("the emulator has ended")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: Truth = json.loads(line)
        if "problem" in answer:
            raise RuntimeError(f"{document}: {answer['problem']}")
        return answer

    def truth(self) -> Truth:
        """Everything: groups with threads and counts, how many ids are free."""
        return self.ask(do="truth")

    def threads(self) -> dict[int, str]:
        """The group of each thread that is not in the root."""
        return threads_of(self.truth())

    def groups(self) -> list[str]:
        """The names of all groups that anybody has made, as a listing shows them; far cheaper than the truth."""
        return os.listdir(self.mount / "mon_groups")


def threads_of(truth: Truth) -> dict[int, str]:
    """The group of each thread that is not in the root."""
    return {thread: group["path"] for group in truth["groups"] for thread in group["threads"]}


@contextmanager
def emulator(
    place: Place,
    name: str,
    *,
    profile: str = PROFILE,
    scenario: str = "",
    ids_log: Path | None = None,
    moves: bool = False,
    cpus: Mapping[int, Sequence[int]] | None = None,
    more_ids: int = 0,
    are_names_kept: bool = False,
) -> Iterator[Emulator]:
    """An emulator that is mounted, and unmounted when the context ends. `cpus`: those behind each cache; None: the profile's.
    `more_ids`: monitoring ids beyond those of the profile. `are_names_kept`: the kernel looks names up by itself, absent ones
    included, as it does on a real resctrl; else it asks the emulator each time, as one does that is started with no more words.
    """
    folder = place.folder / name
    mount, control = folder / "resctrl", folder / "control.sock"
    mount.mkdir(parents=True)
    order = {
        "mount": str(mount),
        "profile": profile,
        "scenario": scenario,
        "control": str(control),
        "ids_log": str(ids_log or ""),
        "moves": moves,
        "cpus": cpus or {},
        "more_ids": more_ids,
        "are_names_kept": are_names_kept,
    }
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "resctrl_bench.emulator_process", json.dumps(order)],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        client = wait_until(lambda: _connected(process, folder, mount, control), "the emulator is mounted", seconds=START_SECONDS)
        with client:
            yield Emulator(mount, control, client)
        process.terminate()
        code = process.wait(END_SECONDS)
        assert code == 0, f"the emulator ended with {code}: {(folder / 'output').read_text()}"
        assert not is_mounted(mount), f"{mount} is still mounted"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def is_mounted(mount: Path) -> bool:
    """Whether something is mounted there."""
    return any(line.split()[4] == str(mount) for line in Path("/proc/self/mountinfo").read_text().splitlines())


def _connected(process: "subprocess.Popen[bytes]", folder: Path, mount: Path, control: Path) -> socket.socket | None:
    assert process.poll() is None, f"the emulator ended: {(folder / 'output').read_text()}"
    if not is_mounted(mount):
        return None
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(ANSWER_SECONDS)
    try:
        client.connect(str(control))
    except OSError:
        client.close()
        return None
    return client
