"""Noise for the agent's sockets, from a seeded generator: the same seed makes the same noise, byte for byte.

Bytes at random; real messages with pieces changed, taken out, doubled and put in; values of every kind where another kind is
meant; deep nesting, numbers beyond 64 bits, NUL, bytes that are no UTF-8. Nothing here is an order that would be obeyed: what
is still a request after all asks for what every client may ask.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from msgspec.msgpack import Ext

from agent.model.control import REQUEST_BYTES_MAX
from agent.model.message import (
    Ack,
    Batch,
    Bye,
    Condition,
    Delta,
    Hello,
    Lost,
    Nack,
    Note,
    Publish,
    Ready,
    Reply,
    Request,
    Resync,
    Snapshot,
    encode,
)
from agent.model.rule import Assignment, Unit, UnitKind, canonical, pod_key

Message = Callable[[Random], bytes]

# Messages of one connection or identity before the next one comes.
LINES_PER_CONNECTION_MAX = 200
# Below what a socket's buffer takes, so that a client that sends all before it reads is never stuck.
BYTES_PER_CONNECTION_MAX = 60 << 10
FRAMES_PER_IDENTITY_MAX = 400
DEPTH_MAX = 1500
# Stands for a number that the standard library would neither read nor write: it stops at 4,300 digits.
GIANT, GIANT_DIGITS = "GIANT", 5000
WORDS = ("", "nobody", "*", "\x00", "é\u202e", "a/b", "x" * 300, "process", "1e9", "null")

REQUESTS: tuple[dict[str, Any], ...] = (
    {"v": 1, "op": "list-workers", "args": {}},
    {"v": 1, "op": "hello"},
    {"op": "diag", "args": {"limit": 3}},
    {"op": "list-rules", "args": {}},
    {"op": "list-pods", "args": {}},
    {"op": "worker-state", "args": {"name": "nobody"}},
    {"op": "restart-worker", "args": {"name": "nobody"}},
    {"op": "reset-worker", "args": {"name": "nobody"}},
    {"op": "remove-rule", "args": {"name": "nobody"}},
    {"op": "add-rule", "args": {"rule": {"name": "", "match": {"pod": "a*", "labels": {"a": "b"}, "qos": "burstable"}}}},
)
TOKENS = (b"null", b"1e999", b"-0", b"[", b"{", b"}", b'"', b"\\ud800", b"\\u0000", b"\x00", b"\xff\xfe", b"\xc3", b"9" * 400,
          b",,", b":", b'{"op":', b'"v":2', b"\r", b"NaN", b"Infinity", b"true")  # fmt: skip
# Codes that msgpack does not have, containers that announce more than comes, an extension, deep nesting.
MSGPACK_TOKENS = (b"\xc1", b"\xc0", b"\xdf\xff\xff\xff\xff", b"\xd4\x05x", b"\x91" * 300)


def connections(rng: Random) -> Iterator[tuple[bytes, int]]:
    """What clients of the control socket send until they end, without end: the bytes, and how many lines are in them."""
    while True:
        data, lines = bytearray(), 0
        for _ in range(rng.randint(1, LINES_PER_CONNECTION_MAX)):
            line = control_line(rng)
            if data and len(data) + len(line) > BYTES_PER_CONNECTION_MAX:
                break
            data += line + b"\n"
            lines += 1
        # One in four ends in the middle of a line.
        torn = rng.random() < 0.25
        yield bytes(data[:-1]) if torn else bytes(data), lines


def control_line(rng: Random) -> bytes:
    """One line, without its newline."""
    kind = rng.random()
    if kind < 0.25:
        line = rng.randbytes(rng.randint(0, 200))
    elif kind < 0.6:
        line = mutated(rng, json.dumps(rng.choice(REQUESTS)).encode(), TOKENS)
    elif kind < 0.85:
        line = _json({**rng.choice(REQUESTS), rng.choice(("op", "args", "v", "more")): value(rng, 3, json_only=True)})
    elif kind < 0.93:
        line = _json(
            {"op": rng.choice(REQUESTS)["op"], "args": {rng.choice(("name", "rule", "limit")): value(rng, 4, json_only=True)}}
        )
    elif kind < 0.98:
        line = json.dumps(rng.choice(REQUESTS)).encode()
    elif kind < 0.997:
        opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
        depth = rng.randint(1, DEPTH_MAX)
        line = b'{"op": "diag", "args": {"limit": ' + opening * depth + b"1" + closing * depth + b"}}"
    else:
        line = json.dumps(rng.choice(REQUESTS)).encode().ljust(rng.randint(REQUEST_BYTES_MAX - 2, REQUEST_BYTES_MAX + 2))
    return line.replace(b"\n", b" ")


def strangers(rng: Random, run: str, names: Sequence[str], message: Message) -> Iterator[tuple[bytes, list[list[bytes]]]]:
    """Identities and what is said under each, without end: multipart messages of the bus or the data socket."""
    while True:
        count = rng.randint(1, FRAMES_PER_IDENTITY_MAX)
        yield identity(rng, run, names), [parts(rng, message) for _ in range(count)]


def identity(rng: Random, run: str, names: Sequence[str]) -> bytes:
    """A routing identity: of nobody, nearly right, or that of a worker who is there or was there in another run."""
    if rng.random() < 0.05:
        return f"{'f' * 16}/1/{rng.choice(names)}".encode()
    number = rng.choice((0, 1, 1, 1, 2, 7, -1, 1 << 31, (1 << 63) - 1, 1 << 63, 1 << 64, 10**200))
    # Most names are new; one in three is somebody else's too, and may even be at it at the same time.
    name = rng.choice((*names, *WORDS)) if rng.random() < 0.3 else f"sampler/{rng.getrandbits(48):x}"
    text = f"{rng.choice((run, run, run, 'f' * 16, ''))}/{number}/{name}".encode()
    choices = (text, text, text, mutated(rng, text, (b"/", b"\x00", b"0", b"\xff")), rng.randbytes(rng.randint(1, 255)))
    # A leading zero byte is libzmq's own, an empty identity none.
    return rng.choice(choices)[:255].lstrip(b"\x00") or b"x"


def parts(rng: Random, message: Message) -> list[bytes]:
    """The frames of one message: usually as many as there should be."""
    count = rng.choice((1, 1, 1, 1, 1, 2, 2, 3, 6))
    return [message(rng) if rng.random() < 0.8 else rng.randbytes(rng.choice((0, 1, 30, 3000))) for _ in range(count)]


def bus_message(rng: Random) -> bytes:
    """One frame of a worker that has lost its mind: a message of the bus, whole, changed, or of values that fit nowhere."""
    made: Callable[[Random], Any] = rng.choice(_BUS_MAKERS)
    return _changed_or_not(rng, encode(made(rng)))


def data_message(rng: Random) -> bytes:
    """The same for the data socket."""
    made: Callable[[Random], Any] = rng.choice(_DATA_MAKERS)
    return _changed_or_not(rng, encode(made(rng)))


def _changed_or_not(rng: Random, frame: bytes) -> bytes:
    return frame if rng.random() < 0.4 else mutated(rng, frame, MSGPACK_TOKENS)


def mutated(rng: Random, data: bytes, tokens: Sequence[bytes]) -> bytes:
    """Some bytes changed, taken out, doubled or put in."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(changed))
        end = min(len(changed), at + rng.randint(0, 12))
        match rng.randrange(4):
            case 0 if changed:
                changed[min(at, len(changed) - 1)] = rng.randrange(256)
            case 1:
                del changed[at:end]
            case 2:
                changed[at:at] = changed[at:end]
            case _:
                changed[at:at] = rng.choice(tokens)
    return bytes(changed)


def value(rng: Random, depth: int, *, json_only: bool = False) -> Any:
    """A value of any kind; with `json_only` of those that JSON has, numbers without bounds among them."""
    kind = rng.randrange(10 if depth else 7)
    match kind:
        case 0:
            return rng.choice((None, True, False))
        case 1:
            return rng.choice((0, -1, 1 << 31, (1 << 63) - 1, -(1 << 63), rng.getrandbits(32)))
        case 2:
            return rng.choice((0.5, -0.0, 1e308, float("nan"), float("inf")))
        case 3 | 4:
            return rng.choice(WORDS)
        case 5 | 6 if json_only:
            return rng.choice((10**30, -(10**400), GIANT))
        case 5:
            return rng.choice(((1 << 64) - 1, rng.randbytes(8)))
        case 6:
            return Ext(rng.randint(0, 100), rng.randbytes(4))
        case 7:
            return [value(rng, depth - 1, json_only=json_only) for _ in range(rng.randrange(4))]
        case _:
            keys = WORDS if json_only else (*WORDS, None, 1, 1.5, True, b"x")
            return {rng.choice(keys): value(rng, depth - 1, json_only=json_only) for _ in range(rng.randrange(4))}


def _json(document: Any) -> bytes:
    """Text with NaN and numbers of any length, as no careful writer of JSON makes it."""
    text = json.dumps(document, ensure_ascii=False).replace(json.dumps(GIANT), "9" * GIANT_DIGITS)
    return text.encode("utf-8", "replace")


def _number(rng: Random) -> int:
    return rng.choice((0, 1, 2, rng.getrandbits(16), rng.getrandbits(63), (1 << 64) - 1, -1))


def _body(rng: Random) -> dict[str, Any]:
    keys = ("workers", "counters", "problem", "rules", "name", "epoch", "rows", "files", *WORDS)
    return {rng.choice(keys): value(rng, 3) for _ in range(rng.randrange(5))}


def _change(rng: Random) -> tuple[str, bytes | None]:
    uid = f"unit-{rng.randrange(50)}"
    unit = Unit(uid, UnitKind.SERVICE, f"/system.slice/{uid}.service")
    content = canonical(Assignment(unit, uid, None, rng.getrandbits(62)))
    return rng.choice((pod_key(uid), pod_key(uid), "rule/ours", rng.choice(WORDS))), rng.choice((content, None, rng.randbytes(9)))


def _fields(rng: Random) -> dict[str, Any]:
    keys = ("worker", "at", "severity", "event", "kind", *WORDS)
    return {rng.choice(keys): rng.choice((None, 1, 0.5, True, *WORDS)) for _ in range(rng.randrange(4))}


_SEVERITIES = ("debug", "info", "warning", "error", "", "fatal")
_BUS_MAKERS: tuple[Callable[[Random], Any], ...] = (
    lambda rng: Hello(_number(rng)),
    lambda rng: Ready(),
    lambda rng: Ack(_number(rng), _number(rng), rng.randbytes(rng.choice((0, 32, 33)))),
    lambda rng: Nack(_number(rng), rng.choice(WORDS)),
    lambda rng: Resync(_number(rng)),
    lambda rng: Publish([_change(rng) for _ in range(rng.randrange(4))], complete=rng.random() < 0.5),
    lambda rng: Condition(rng.choice(WORDS), rng.random() < 0.5, rng.choice(WORDS)),
    lambda rng: Note(rng.choice(WORDS), rng.choice(_SEVERITIES), _fields(rng)),
    lambda rng: Reply(_number(rng), _body(rng)),
    lambda rng: Request(_number(rng), rng.choice(("status", *WORDS))),
    lambda rng: Snapshot(_number(rng), _number(rng), b"", []),
    lambda rng: Delta(_number(rng), _number(rng), b"", [_change(rng)]),
    lambda rng: value(rng, 4),
)


def _lost(rng: Random) -> tuple[Lost, ...]:
    return tuple(Lost(_number(rng), _number(rng), _number(rng), rng.choice(WORDS)) for _ in range(rng.choice((0, 0, 0, 1, 3))))


_DATA_MAKERS: tuple[Callable[[Random], Any], ...] = (
    lambda rng: Batch(_number(rng), rng.choice(("process", "gap", *WORDS)), rng.choice((1, 2, _number(rng))), _number(rng),
                      rng.randrange(3), _lost(rng)),
    lambda rng: Bye(_number(rng), _lost(rng)),
    lambda rng: [value(rng, 2) for _ in range(rng.randrange(3))],
    lambda rng: value(rng, 4),
)  # fmt: skip
