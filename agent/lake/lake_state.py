"""What the entries of a lake's log say together: which files count, how far the topics are stored, where the marks are. PURE.

Every reader folds the same entries in the same order and gets the same state. An entry that does not fit the state before it (a
removed file that did not count, an offset that does not follow) is void for everybody: it changes nothing but the number.
"""

import msgspec
from msgspec import Struct

from agent.lake.commit import FORMAT, AddedFile, LakeCommit, LakeMark, LedgerStep, check_format
from agent.model.errors import FormatError

# 1,000,000 live files have some 250 MB.
CHECKPOINT_BYTES_MAX = 512 << 20
# Of all files that no entry named and that were deleted, the last are remembered: so long nobody can add one of them.
CONDEMNED_MAX = 10_000


class _Checkpoint(Struct, frozen=True):
    format: int
    number: int
    at_ns: int
    files: list[AddedFile]
    removed: dict[str, int]
    consumed: dict[str, int]
    condemned: list[str]
    ledgers: dict[str, str]
    offsets: dict[str, int]
    marks: dict[str, dict[str, LakeMark]]
    void: int = 0


class LakeState:
    """The state behind the entry `number`; 0: of an empty log. Only `apply` changes it.

    `files`: merged files that count, by path. `removed`: merged files, and old ledgers, that count no more and are not deleted yet;
    `consumed`: landing files of the same kind; both with the time of the entry that said so. `condemned`: files that nobody may
    add. `ledgers`: by "table/date" the path of
    the list of all landing files of that day that were consumed and deleted. `offsets`: by
    "topic/partition" the first offset that is not stored. `marks`: by table and host. `void`: entries that did not fit.
    `at_ns`: the latest time of an entry.
    """

    def __init__(self) -> None:
        self.number = 0
        self.at_ns = 0
        self.files: dict[str, AddedFile] = {}
        self.removed: dict[str, int] = {}
        self.consumed: dict[str, int] = {}
        self.condemned: dict[str, None] = {}
        self.ledgers: dict[str, str] = {}
        self.offsets: dict[str, int] = {}
        self.marks: dict[str, dict[str, LakeMark]] = {}
        self.void = 0

    def why_refused(self, commit: LakeCommit) -> str:
        """Why an entry does not fit behind this state; empty: it does."""
        return (
            self._why_not_added(commit)
            or self._why_not_taken(commit)
            or self._why_other_ledger(commit)
            or self._why_other_offset(commit)
            or _why_repeated(commit)
        )

    def apply(self, number: int, commit: LakeCommit) -> None:
        """Take the next entry."""
        assert number == self.number + 1, f"entry {number} does not follow {self.number}"
        self.number = number
        if self.why_refused(commit):
            self.void += 1
            return
        # Removals are aged by it, and clocks of several writers differ.
        self.at_ns = max(self.at_ns, commit.at_ns)
        for path in commit.removes:
            del self.files[path]
            self.removed[path] = self.at_ns
        for path in commit.condemned:
            self.condemned[path] = None
            self.removed[path] = self.at_ns
        for path in commit.consumed:
            self.consumed[path] = self.at_ns
        for file in commit.adds:
            self.files[file.path] = file
        for day, step in commit.ledgers.items():
            self._replace_ledger(day, step)
        for path in commit.forgotten:
            self.removed.pop(path, None)
            self.consumed.pop(path, None)
        for name, span in commit.offsets.items():
            self.offsets[name] = span.next
        for table, marks in commit.marks.items():
            self.marks.setdefault(table, {}).update(marks)
        while len(self.condemned) > CONDEMNED_MAX:
            del self.condemned[next(iter(self.condemned))]

    def _why_not_added(self, commit: LakeCommit) -> str:
        for file in commit.adds:
            if file.path in self.files or file.path in self.removed:
                return f"{file.path} was added before"
            if file.path in self.condemned:
                return f"{file.path} was given up as nobody's"
        return ""

    def _why_not_taken(self, commit: LakeCommit) -> str:
        for path in commit.removes:
            if path not in self.files:
                return f"{path} does not count"
        for path in commit.consumed:
            if path in self.consumed:
                return f"{path} was consumed before"
        for path in commit.condemned:
            if path in self.files or path in self.removed or path in self.ledgers.values():
                return f"{path} was added"
        return ""

    def _why_other_ledger(self, commit: LakeCommit) -> str:
        for day, step in commit.ledgers.items():
            if step.base != self.ledgers.get(day, ""):
                return f"the ledger of {day} is another by now"
            if step.next in self.removed or step.next in self.condemned:
                return f"{step.next} can be the ledger of {day} no more"
        return ""

    def _why_other_offset(self, commit: LakeCommit) -> str:
        for name, span in commit.offsets.items():
            if span.base != self.offsets.get(name, span.base):
                return f"{name} is stored up to {self.offsets[name]}, not {span.base}"
        return ""

    def _replace_ledger(self, day: str, step: LedgerStep) -> None:
        if not step.next or step.next == step.base:
            return
        if step.base:
            self.removed[step.base] = self.at_ns
        self.ledgers[day] = step.next

    def encoded(self) -> bytes:
        """As a checkpoint has it."""
        return msgspec.json.encode(
            _Checkpoint(
                FORMAT,
                self.number,
                self.at_ns,
                list(self.files.values()),
                self.removed,
                self.consumed,
                list(self.condemned),
                self.ledgers,
                self.offsets,
                self.marks,
                self.void,
            )
        )


def _why_repeated(commit: LakeCommit) -> str:
    for what in ([file.path for file in commit.adds], commit.removes, commit.consumed, commit.condemned):
        if len(set(what)) != len(what):
            return "it names a file twice"
    return ""


def decode_state(data: bytes, number: int, where: str) -> LakeState:
    """The state of a checkpoint. *Raises:* FormatError."""
    if len(data) > CHECKPOINT_BYTES_MAX:
        raise FormatError(where, f"it is longer than {CHECKPOINT_BYTES_MAX} bytes")
    try:
        found = msgspec.json.decode(data, type=_Checkpoint)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise FormatError(where, f"it is no checkpoint of a lake's log ({cause})") from cause
    check_format(found.format, where)
    if found.number != number:
        raise FormatError(where, f"it says that it is checkpoint {found.number}")
    state = LakeState()
    state.number, state.at_ns, state.void = found.number, found.at_ns, found.void
    state.files = {file.path: file for file in found.files}
    state.removed, state.consumed, state.ledgers = found.removed, found.consumed, found.ledgers
    state.condemned = dict.fromkeys(found.condemned)
    state.offsets, state.marks = found.offsets, found.marks
    return state
