"""A worker process that exists, and the certificate on its heartbeat page that says which worker it is.

The certificate is written when a process is told which worker to be. It outlives the supervisor: the next one recognises the
process by it.
"""

import mmap
from contextlib import suppress

import msgspec
from msgspec import Struct

from agent.model.heartbeat_page import CERTIFICATE_LENGTH, CERTIFICATE_OFFSET, PAGE_BYTES, parse_certificate

# The name of the memory file of each page, shown in /proc/PID/fd.
PAGE_NAME = "evergauge-page"


class Certificate(Struct, frozen=True):
    """Which worker a process is, and since when (monotonic); the inodes name its two pipes."""

    run: str
    child: str
    epoch: int
    started_at_ns: int
    stderr_inode: int
    status_inode: int


class StartedWorker(Struct, frozen=True):
    """A worker process: its pid, its pidfd (-1: it has already ended), and the read ends of what it left here.

    `status` gives the exit status that the fork server writes, `stderr` what the worker writes, `page` is its heartbeat page.
    """

    child: str
    epoch: int
    pid: int
    pidfd: int
    status: int
    stderr: int
    page: mmap.mmap
    started_at_ns: int


def write_certificate(page: mmap.mmap, certificate: Certificate) -> None:
    """Write it into a page; the length comes last, so that a half-written certificate reads as none."""
    assert certificate.epoch > 0, certificate
    data = msgspec.msgpack.encode(certificate)
    at = CERTIFICATE_OFFSET + CERTIFICATE_LENGTH.size
    assert at + len(data) <= PAGE_BYTES, len(data)
    page[at : at + len(data)] = data
    CERTIFICATE_LENGTH.pack_into(page, CERTIFICATE_OFFSET, len(data))


def read_certificate(page: mmap.mmap) -> Certificate | None:
    """The certificate of a page. *Absent:* none was written, or it is damaged: the worker itself can write to its page."""
    data = parse_certificate(page[CERTIFICATE_OFFSET:PAGE_BYTES])
    with suppress(msgspec.DecodeError):
        return None if data is None else msgspec.msgpack.decode(data, type=Certificate)
    return None
