"""The headers of a message: whose rows it has, and which. PURE.

All of them are ASCII, so that any tool shows them. A reader passes over headers that it does not know.
"""

from collections.abc import Iterable
from zlib import crc32

from msgspec import Struct

from agent.model.errors import FormatError

CONTENT_TYPE = "application/x-evergauge-columns"
WHERE = "message of a topic"
# Far beyond what a name of the kernel or a number needs.
TEXT_LENGTH_MAX = 4096
# A reader looks at no more of them: clients add their own.
HEADERS_MAX = 128
_HEX = frozenset("0123456789abcdef")
_UINT63 = (1 << 63) - 1
# Letters that need no percent sign: visible, and not the percent sign itself.
_PLAIN = frozenset(range(0x21, 0x7F)) - {ord("%")}

Header = tuple[str, bytes]


class MessageHead(Struct, frozen=True):
    """Where the rows of a message come from.

    `first_seq` and `last_seq` are numbers of the first and the last batch, `first_stamp_ns` and `last_stamp_ns` the times at which
    they were sent (unix time). Numbers between them may be batches of other tables. `crc` is the CRC-32 of the value.
    `is_complete`: everything that the host had stored before the last of these batches, of any table that its sink sends, is in
    topics already, at the latest by the end of this transaction; False: a backlog follows later.
    `part` of `parts`: a batch that one message cannot hold is in several, which have its first and last number each.
    """

    table: str
    version: int
    host: str
    install: str
    run: str
    worker: str
    epoch: int
    first_seq: int
    last_seq: int
    rows: int
    crc: int
    first_stamp_ns: int
    last_stamp_ns: int
    is_complete: bool
    part: int = 1
    parts: int = 1


def encode_headers(head: MessageHead) -> list[Header]:
    """The headers, in the order in which documents list them."""
    texts = {
        "content-type": CONTENT_TYPE,
        "schema": f"{quoted(head.table)}/{head.version}",
        "host": quoted(head.host),
        "install": quoted(head.install),
        "run": quoted(head.run),
        "worker": quoted(head.worker),
        "epoch": str(head.epoch),
        "first_seq": str(head.first_seq),
        "last_seq": str(head.last_seq),
        "rows": str(head.rows),
        "crc": f"{head.crc:08x}",
        "first_stamp": str(head.first_stamp_ns),
        "last_stamp": str(head.last_stamp_ns),
        "behind": "1" if head.is_complete else "0",
    }
    if head.parts > 1:
        texts["part"] = f"{head.part}/{head.parts}"
    return [(key, text.encode("ascii")) for key, text in texts.items()]


def parse_headers(headers: Iterable[tuple[str, bytes | None]]) -> MessageHead:
    """The head of a message. *Raises:* FormatError for a message that no sink of ours has written, or a damaged one."""
    texts = _texts(headers)
    if texts.get("content-type") != CONTENT_TYPE:
        raise FormatError(WHERE, "it has another content-type", "name a topic that sinks of kind kafka write")
    table, slash, version = _text(texts, "schema").rpartition("/")
    if not slash or not table:
        raise FormatError(WHERE, "header schema is not TABLE/VERSION")
    part, parts = _part(texts.get("part", "1/1"))
    crc = _text(texts, "crc")
    if len(crc) != 8 or not _HEX.issuperset(crc):
        raise FormatError(WHERE, "header crc is not eight hexadecimal digits")
    behind = _text(texts, "behind")
    if behind not in ("0", "1"):
        raise FormatError(WHERE, "header behind is neither 0 nor 1")
    return MessageHead(
        table=unquoted(table),
        version=_number(version, "schema"),
        host=unquoted(_text(texts, "host")),
        install=unquoted(_text(texts, "install")),
        run=unquoted(_text(texts, "run")),
        worker=unquoted(_text(texts, "worker")),
        epoch=_whole(texts, "epoch"),
        first_seq=_whole(texts, "first_seq"),
        last_seq=_whole(texts, "last_seq"),
        rows=_whole(texts, "rows"),
        crc=int(crc, 16),
        first_stamp_ns=_whole(texts, "first_stamp"),
        last_stamp_ns=_whole(texts, "last_stamp"),
        is_complete=behind == "1",
        part=part,
        parts=parts,
    )


def check_value(head: MessageHead, value: bytes) -> None:
    """*Raises:* FormatError where the value is not the one that was sent with this head."""
    if crc32(value) != head.crc:
        raise FormatError(WHERE, "its value does not have the checksum of header crc")


def quoted(text: str) -> str:
    """A text as visible ASCII: every other byte, and the percent sign, is written `%41`."""
    data = text.encode()
    if _PLAIN.issuperset(data):
        return data.decode("ascii")
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in data)


def unquoted(text: str) -> str:
    """The text that was quoted. *Raises:* FormatError."""
    if "%" not in text:
        return text
    first, *rest = text.split("%")
    if not all(len(piece) >= 2 and _HEX.issuperset(piece[:2]) for piece in rest):
        raise FormatError(WHERE, "a header has a percent sign without a byte behind it")
    data = first.encode("ascii") + b"".join(bytes.fromhex(piece[:2]) + piece[2:].encode("ascii") for piece in rest)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise FormatError(WHERE, "a header is no UTF-8") from cause


def _texts(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, (key, value) in enumerate(headers):
        if number >= HEADERS_MAX:
            raise FormatError(WHERE, f"it has more than {HEADERS_MAX} headers")
        if key not in _KEYS:
            continue
        if value is None or len(value) > TEXT_LENGTH_MAX or not value.isascii():
            raise FormatError(WHERE, f"header {key} is no short ASCII text")
        if key in found:
            raise FormatError(WHERE, f"it has header {key} twice")
        found[key] = value.decode("ascii")
    return found


def _text(texts: dict[str, str], key: str) -> str:
    found = texts.get(key)
    if found is None:
        raise FormatError(WHERE, f"it has no header {key}")
    return found


def _whole(texts: dict[str, str], key: str) -> int:
    return _number(_text(texts, key), key)


def _number(text: str, key: str) -> int:
    # Nothing else that Python takes for a number: signs, spaces, underscores.
    if not text.isdecimal() or len(text) > 19 or int(text) > _UINT63:
        raise FormatError(WHERE, f"header {key} has no whole number where one belongs")
    return int(text)


def _part(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    part, parts = _number(number, "part"), _number(count, "part")
    if not 1 <= part <= parts:
        raise FormatError(WHERE, "header part is not as 1/3")
    return part, parts


_EMPTY = MessageHead("", 0, "", "", "", "", 0, 0, 0, 0, 0, 0, 0, True, 1, 2)
_KEYS: frozenset[str] = frozenset(key for key, _ in encode_headers(_EMPTY))
