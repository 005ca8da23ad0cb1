"""Finds the sealed Parquet files of a segment, and has them made again where others have removed them. Touches the file system.

Compaction merges the files of a day into one, and the storage quota removes the oldest. A sink that is late then makes them from
the segment, which is kept for it, by the same program that sealed it. Arrow is never in this process.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

import workers
from agent.failpoint import failpoint
from agent.model.foreign import readable
from agent.store.digest import DigestVerdict, check_digest_of, read_range
from agent.store.foreign_file import open_regular
from agent.store.layout import DATA_FOLDER, KEPT_FOLDER, date_folder, parse_sealed_name
from agent.store.left_out import LeftOut
from agent.store.segment import id_in, is_segment_name
from workers.export.object.store import StoreFailure
from workers.export.sink import Later

# As long as the writer gives its own.
SEALING_SECONDS_MAX = 600
# Behind everything else: it is for a sink that is late.
NICENESS = 19
_PROBLEM_CHARACTERS_MAX = 400
_SECRET_PREFIXES = ("AWS_", "GOOGLE_", "AZURE_", "OTEL_")


class FileOfSegment:
    """One file with its name and its bytes."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self.content = content


class SealedFiles:
    """The files of segments below a state folder. `folder` is where they are made again; nothing else is in it."""

    def __init__(self, state_dir: str, folder: str, variables: Mapping[str, str]) -> None:
        self._state_dir = state_dir
        self._folder = folder
        self._variables = variables
        # Whose files lie in `folder`.
        self._made = ""
        self.forget()

    def read(self, segment: str, table: str, date: str) -> FileOfSegment | None:
        """The file of a table and date, from the agent's data or made again; None: there is none, since none of its rows could be
        stored. *Raises:* StoreFailure."""
        found = _read(os.path.join(self._state_dir, DATA_FOLDER), segment, table, date)
        if found is None:
            self._make(segment)
            found = _read(os.path.join(self._folder, DATA_FOLDER), segment, table, date)
        return found

    def is_compacted(self, table: str, date: str) -> bool:
        """Whether a day's own files may be in another by now."""
        names = _names(os.path.join(self._state_dir, DATA_FOLDER, table, date_folder(date)))
        return any(found.is_compacted for found in map(parse_sealed_name, names) if found is not None)

    def has(self, segment: str, table: str, date: str) -> bool:
        """Whether the agent's data has the file."""
        return _name(os.path.join(self._state_dir, DATA_FOLDER), segment, table, date) is not None

    def forget(self) -> None:
        """Remove what was made."""
        self._made = ""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self, segment: str) -> None:
        """*Raises:* StoreFailure."""
        if self._made == segment:
            return
        self.forget()
        kept = os.path.join(self._state_dir, KEPT_FOLDER)
        name = next((each for each in _names(kept) if is_segment_name(each) and id_in(each) == segment), None)
        if name is None:
            # The writer had to remove it: the exporter passes it with its next look.
            raise StoreFailure(Later(f"segment {segment} is gone"))
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            self._seal(os.path.join(kept, name))
        except OSError as cause:
            where = readable(self._folder)
            raise StoreFailure(Later(f"files cannot be made again in {where} ({cause.strerror}); free space there")) from cause
        self._made = segment
        failpoint("object.made")

    def _seal(self, path: str) -> None:
        """*Raises:* StoreFailure, OSError."""
        words = [sys.executable, "-P", "-m", "workers.writer.sealer", path, self._folder, "--parent", str(os.getpid())]
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=self._environment()
        )
        with process:
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
            try:
                _, problem = process.communicate(timeout=SEALING_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                raise StoreFailure(Later("a file that has to be made again was not made in time")) from None
            finally:
                if process.poll() is None:
                    process.kill()
        if process.returncode:
            last = problem.decode(errors="replace").strip().splitlines()[-1:]
            raise StoreFailure(Later(f"a segment cannot be sealed again: {readable(''.join(last), _PROBLEM_CHARACTERS_MAX)}"))

    def _environment(self) -> dict[str, str]:
        """Of the agent's own, without credentials; the packages of this very process."""
        root = os.path.dirname(os.path.dirname(os.path.abspath(workers.__file__)))
        former = self._variables.get("PYTHONPATH")
        kept = {key: value for key, value in self._variables.items() if not key.startswith(_SECRET_PREFIXES)}
        # As the writer starts it.
        own = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
        return {**kept, **own, "PYTHONPATH": f"{root}{os.pathsep}{former}" if former else root}


def _names(folder: str) -> Sequence[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as cause:
        raise StoreFailure(Later(f"{readable(folder)} cannot be read ({cause.strerror})")) from cause


def _name(data: str, segment: str, table: str, date: str) -> str | None:
    for name in _names(os.path.join(data, table, date_folder(date))):
        found = parse_sealed_name(name)
        if found is not None and not found.is_compacted and found.segment == segment:
            return name
    return None


def _read(data: str, segment: str, table: str, date: str) -> FileOfSegment | None:
    """*Absent:* None where it is not there, or is not what was sealed."""
    name = _name(data, segment, table, date)
    if name is None:
        return None
    path = os.path.join(data, table, date_folder(date), name)
    try:
        descriptor = open_regular(path)
        if isinstance(descriptor, LeftOut):
            return None
        try:
            content = read_range(descriptor, 0, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
    except OSError:
        # Merged or removed meanwhile, or the disk has failed there.
        return None
    return FileOfSegment(name, content) if check_digest_of(content) is DigestVerdict.GOOD else None
