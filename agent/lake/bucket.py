"""What holds the files of a lake: a bucket, or a folder that is as careful as one. PURE.

Names are paths below the lake's root, with `/` between their parts. What was put is whole, and is there for everybody from the
answer on. A name is put once; only `exchange` changes what is under it.
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import IO, Protocol

from msgspec import Struct

from agent.model.errors import StorageError

Content = bytes | memoryview


class PutOutcome(Enum):
    """What became of a put of a new name."""

    STORED = "stored"
    # It is there already, with this content: an answer was lost, or somebody else put the same.
    SAME = "same"
    # It is there with another content, which stays.
    OTHER = "other"


class ObjectHead(Struct, frozen=True, gc=False):
    """One thing in a bucket. *Units:* `changed_ns`: unix time by the bucket's own clock."""

    name: str
    bytes: int
    changed_ns: int


class Tagged(Struct, frozen=True):
    """A content, and the tag by which it can be exchanged for another."""

    content: bytes
    tag: str


class BucketFailure(StorageError):
    """The bucket did not do it. `is_passing`: it may do it later; else a person must act."""

    def __init__(self, where: str, problem: str, remedy: str = "", *, is_passing: bool) -> None:
        super().__init__(where, problem, remedy)
        self.is_passing = is_passing


class FileGone(BucketFailure):
    """What should be under a name is not there: a reader takes a new snapshot."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "it is gone", is_passing=True)
        self.name = name


class Bucket(Protocol):
    """Files by name. *Raises:* BucketFailure from everything."""

    @property
    def shown(self) -> str:
        """As sentences name it."""
        ...

    def get(self, name: str, bytes_max: int) -> bytes | None:
        """What is under a name. *Absent:* None where nothing is. *Range:* what is longer than `bytes_max` is a failure."""
        ...

    def put_new(self, name: str, content: Content) -> PutOutcome:
        """Put it under a name that nobody has; on the disk before the answer."""
        ...

    def put_file(self, name: str, path: str) -> PutOutcome:
        """As `put_new`, of a file on this host, which may be large. The file stays."""
        ...

    def replace(self, name: str, content: Content) -> None:
        """Put it under a name, whatever was there. Only for hints."""
        ...

    def read_tagged(self, name: str, bytes_max: int) -> Tagged | None:
        """As `get`, with the tag for `exchange`."""
        ...

    def exchange(self, name: str, content: bytes, tag: str | None) -> bool:
        """Put it in place of what has this tag; None: where nothing is. False: something else is there, and stays."""
        ...

    def head(self, name: str) -> ObjectHead | None:
        """What is known of a name; None: nothing is under it."""
        ...

    def pages(self, prefix: str, after: str = "") -> Iterator[Sequence[ObjectHead]]:
        """All things whose names begin with `prefix`, a bounded number at a time; only those behind `after`.

        `prefix` is empty or ends with `/`. *Shape:* within one folder in the order of their names.
        """
        ...

    def folders(self, prefix: str) -> Sequence[str]:
        """The first parts of all names behind `prefix` that have further parts, in order. `prefix` is as for `pages`."""
        ...

    def delete(self, name: str) -> None:
        """Remove it; nothing where it is not there."""
        ...

    def open(self, name: str) -> IO[bytes]:
        """A file to read and to seek in, as pyarrow and others take it. *Raises:* FileGone."""
        ...

    def fetch(self, name: str, path: str) -> None:
        """Write what is under a name to a file on this host, piece by piece. *Raises:* FileGone; OSError of that file."""
        ...

    def sweep(self, older_than_ns: int) -> int:
        """Remove what killed writers left unfinished, if it is as old; how many."""
        ...
