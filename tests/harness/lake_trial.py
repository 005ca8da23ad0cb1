"""A lake on trial: nodes land files, compactors are killed, and a reader counts every row at every moment.

with LakeTrial(folder) as trial:                    # or LakeTrial(folder, server)
    trial.land(files)
    trial.compact(kill_after=0.02)
    trial.check()                                   # each row once, now
    trial.found                                     # reads, rows, doubles, losses
"""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from random import Random
from signal import SIGKILL
from types import TracebackType
from typing import IO

import msgspec
import pyarrow.parquet
from fakes.landing_files import NodeFile, write_landing
from harness.lake_compactor import CompactorOrder, open_trial
from harness.sinks.object_server import ObjectServer

from agent.lake.bucket import FileGone, PutOutcome
from agent.lake.log import LakeLog
from agent.lake.snapshot import LakeSnapshot, Wanted, read_lake

ROOT = Path(__file__).parents[2]


class ReadersAccount(msgspec.Struct):
    """What the reader found: of all reads together the rows seen twice, and those missed."""

    reads: int = 0
    gone: int = 0
    doubles: int = 0
    losses: int = 0


class LakeTrial:
    """One lake, in a folder or in a server's bucket. Use it as a context."""

    def __init__(self, folder: Path, server: ObjectServer | None = None, *, failing: float = 0.0, seed: int = 0) -> None:
        self._folder = folder
        self.points = folder / "points"
        self.points.mkdir()
        self._failing = failing
        self._chance = Random(seed)
        self.values: dict[str, int | str | bool] = {"lake.grace": 0}
        self._variables: dict[str, str] = {}
        if server is None:
            (folder / "lake").mkdir()
            self.values["lake.url"] = f"file://{folder}/lake"
        else:
            self.values |= {"lake.url": f"s3://{server.bucket}/fleet", "lake.endpoint": server.endpoint, "lake.allow_http": True}
            self._variables = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
        self.found = ReadersAccount()
        self.landed: set[int] = set()
        self.paths: list[str] = []
        self.kills = 0
        self._numbers: dict[str, list[int]] = {}
        self._process: subprocess.Popen[str] | None = None
        self._ending = threading.Event()
        self._readers: list[threading.Thread] = []

    def __enter__(self) -> "LakeTrial":
        os.environ.update(self._variables)
        self.bucket = open_trial(self.values, 0.0, self._chance)
        # Exporters try again until they know that it is there.
        self.landing = open_trial(self.values, self._failing, self._chance)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.lake_compactor"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "ARROW_DEFAULT_MEMORY_POOL": "system"},
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop_reading()
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()

    # ---- nodes ----

    def land(self, files: Iterable[NodeFile]) -> int:
        """Put files as sinks do; their bytes."""
        size = 0
        local = self._folder / "landing.parquet"
        for file in files:
            write_landing(local, file)
            content = local.read_bytes()
            size += len(content)
            assert self.landing.put_new(file.path, content) is not PutOutcome.OTHER
            # Only now a reader must see it: it may have seen it before.
            self.landed.update(file.numbers)
            self.paths.append(file.path)
        return size

    def land_again(self, file: NodeFile) -> None:
        """Put a file once more: its exporter was killed before it had noted that it is there."""
        local = self._folder / "again.parquet"
        write_landing(local, file)
        self.landing.put_new(file.path, local.read_bytes())

    # ---- compactors ----

    def compact(self, *, kill_after: float | None = None, point: str = "", failing: float | None = None) -> int:
        """Let a compactor work until it ends; its status. It is killed after so many seconds, or at a failpoint."""
        if point:
            unfinished = self.points / f".{point}"
            unfinished.write_text("kill")
            unfinished.rename(self.points / point)
        order = CompactorOrder(
            self.values,
            str(self._folder / "scratch"),
            self._chance.randrange(1 << 30),
            self._failing if failing is None else failing,
            str(self.points) if point else "",
        )
        process, output = self._send(order)
        if kill_after is not None:
            time.sleep(kill_after)
            with suppress(ProcessLookupError):
                os.kill(process, SIGKILL)
        status = int(output.readline())
        if os.WIFSIGNALED(status):
            self.kills += 1
        return status

    def _send(self, order: CompactorOrder) -> tuple[int, IO[str]]:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(order).decode() + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline()), self._process.stdout

    # ---- readers ----

    def check(self) -> None:
        """Read everything once; a row that is missed or seen twice is noted."""
        before = set(self.landed)
        try:
            seen = Counter(read_lake(self.bucket, LakeLog(self.bucket, "reader"), Wanted(("process",)), self._read))
        except FileGone:
            # With a grace of nothing a reader may be too late three times.
            self.found.gone += 1
            return
        self.found.reads += 1
        self.found.doubles += sum(count - 1 for count in seen.values())
        self.found.losses += len(before - seen.keys())

    def _read(self, found: LakeSnapshot) -> list[int]:
        numbers: list[int] = []
        for file in found.files:
            known = self._numbers.get(file.path)
            if known is None:
                with self.bucket.open(file.path) as opened:
                    known = pyarrow.parquet.ParquetFile(opened).read(["number"]).column(0).to_pylist()
                self._numbers[file.path] = known
            numbers += known
        return numbers

    def start_reading(self) -> None:
        """Check again and again, beside everything else."""

        def read() -> None:
            while not self._ending.is_set():
                self.check()

        self._readers.append(threading.Thread(target=read, name="reader"))
        self._readers[-1].start()

    def stop_reading(self) -> None:
        """After the check under way."""
        self._ending.set()
        for thread in self._readers:
            thread.join()
        self._readers.clear()

    def left(self) -> list[str]:
        """Names of everything in the lake but its log."""
        return [head.name for page in self.bucket.pages("") for head in page if not head.name.startswith(("_log/", "_lease/"))]
