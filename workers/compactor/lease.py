"""Who compacts: one at a time, by a small object that only its holder renews. It saves work; the log decides what is right."""

import msgspec
from msgspec import Struct

from agent.lake.bucket import Bucket
from agent.lake.log import LogPorts
from agent.lake.path import LEASE
from agent.model.timebase import MINUTE

# A holder renews it while it works; who was killed keeps others waiting for so long.
LEASE_NS = 2 * MINUTE
_BYTES_MAX = 4096


class _LeaseText(Struct, frozen=True):
    holder: str
    token: str
    until_ns: int


class CompactorLease:
    """The lease of one lake, as one compactor sees it. *Raises:* BucketFailure."""

    def __init__(self, bucket: Bucket, holder: str, ports: LogPorts) -> None:
        self._bucket = bucket
        self._holder = holder
        self._ports = ports
        self._token = f"{ports.chance.getrandbits(64):016x}"
        self._renewed_at_ns = 0
        self.other = ""

    def take(self) -> bool:
        """Take it, or hold it longer; False: another holds it, and `other` says who."""
        found = self._bucket.read_tagged(LEASE, _BYTES_MAX)
        now_ns = self._ports.wall_ns()
        if found is not None:
            text = _decode(found.content)
            # What nobody can read is nobody's, and so is one that would hold longer than any does.
            if text is not None and text.token != self._token and now_ns < text.until_ns <= now_ns + 2 * LEASE_NS:
                self.other = text.holder
                return False
        if not self._put(now_ns + LEASE_NS, None if found is None else found.tag):
            self.other = "another compactor"
            return False
        self._renewed_at_ns = self._ports.lapse_ns()
        return True

    def renew(self) -> bool:
        """Hold it longer, where a third of the time is over; False: it was lost."""
        if self._ports.lapse_ns() - self._renewed_at_ns < LEASE_NS // 3:
            return True
        return self.take()

    def give_back(self) -> None:
        """Let the next one begin."""
        found = self._bucket.read_tagged(LEASE, _BYTES_MAX)
        text = None if found is None else _decode(found.content)
        if found is not None and text is not None and text.token == self._token:
            self._put(0, found.tag)

    def now_ns(self) -> int:
        """The time by the store's clock, when it was taken last; 0 where the store does not say."""
        found = self._bucket.head(LEASE)
        return 0 if found is None else found.changed_ns

    def _put(self, until_ns: int, tag: str | None) -> bool:
        text = msgspec.json.encode(_LeaseText(self._holder, self._token, until_ns))
        return self._bucket.exchange(LEASE, text, tag)


def _decode(content: bytes) -> _LeaseText | None:
    try:
        return msgspec.json.decode(content, type=_LeaseText)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
