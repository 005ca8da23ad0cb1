"""The cache of marks in Redis: it makes routers faster, and nobody needs it.

Losing it, or what it holds, costs speed and never truth: whatever goes wrong is a sentence in `problem`, and the mark of a host is
not known. Nothing here raises, and nothing takes longer than its time-outs. The package `redis` comes late.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from agent.lake.mark_form import VALUE_LENGTH, CachedMark, mark_key, mark_value, parse_mark
from agent.model.timebase import DAY, MS, S

CONNECT_SECONDS = 0.25
ANSWER_SECONDS = 0.5
# After a failure nobody asks for so long, doubled up to the second: a router's question must not wait for each host.
AGAIN_FIRST_NS, AGAIN_MOST_NS = 250 * MS, 10 * S
# Of one call: a script holds up everybody else who asks Redis.
FIELDS_PER_CALL = 500
HOSTS_PER_CALL = 1_000
TTL_NS = 2 * DAY
_DEFAULT_PORT = 6379
_NOT_INSTALLED = "the package redis is missing; pip install 'evergauge[marks]'"

# Writes where what is there is less, or is no mark of ours. Gives how many were written.
_PUBLISH = f"""
local written = 0
for at = 2, #ARGV, 2 do
  local found = redis.call('HGET', KEYS[1], ARGV[at])
  if not found or #found ~= {VALUE_LENGTH} or ARGV[at + 1] > found then
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
    written = written + 1
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return written
"""


class MarkCache:
    """Marks of one lake. For one thread. `problem`: why it does not answer now; empty: it does, or was not asked yet."""

    def __init__(
        self,
        address: str,
        lake: str,
        *,
        password: Callable[[], str | None] = lambda: None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`address`: `redis://HOST:PORT/DB` or `unix:///PATH`, as setting `marks.redis` accepts it. `lake`: its id."""
        self._address = address
        self._lake = lake
        self._password = password
        self._now_ns = now_ns
        self._client: Any = None
        self._script: Any = None
        self._failures = 0
        self._not_before_ns = 0
        self.problem = ""

    def publish(self, table: str, marks: Mapping[str, CachedMark]) -> int | None:
        """Write the marks of hosts, unless newer ones are there; how many were written. *Absent:* None: it does not answer."""
        written = 0
        names = list(marks)
        for start in range(0, len(names), FIELDS_PER_CALL):
            part = names[start : start + FIELDS_PER_CALL]
            words: list[object] = [TTL_NS // S]
            for host in part:
                words += (host, mark_value(marks[host]))
            found = self._ask(partial(self._write, mark_key(self._lake, table), words))
            if not isinstance(found, int):
                return None
            written += found
        return written

    def read(self, table: str, hosts: Iterable[str]) -> dict[str, CachedMark]:
        """The marks of hosts. *Absent:* hosts whose mark is not known, for whatever reason."""
        found: dict[str, CachedMark] = {}
        names = list(hosts)
        for start in range(0, len(names), HOSTS_PER_CALL):
            part = names[start : start + HOSTS_PER_CALL]
            values = self._ask(partial(self._look_up, mark_key(self._lake, table), part))
            if not isinstance(values, list) or len(values) != len(part):
                break
            marks = map(parse_mark, values)
            found |= {host: mark for host, mark in zip(part, marks, strict=True) if mark is not None}
        return found

    def close(self) -> None:
        """Give its connections back."""
        client, self._client = self._client, None
        if client is not None:
            try:
                client.close()
            except (OSError, ValueError) as failure:
                self._fail(failure)

    def _write(self, key: str, words: list[object]) -> object:
        return self._script(keys=[key], args=words)

    def _look_up(self, key: str, hosts: list[str]) -> object:
        return self._client.hmget(key, hosts)

    def _ask(self, question: Callable[[], object]) -> object:
        """The answer, or None."""
        if self._now_ns() < self._not_before_ns:
            return None
        try:
            import redis
        except ImportError:
            self.problem = _NOT_INSTALLED
            self._not_before_ns = self._now_ns() + AGAIN_MOST_NS
            return None
        try:
            if self._client is None:
                self._client = self._connect()
                self._script = self._client.register_script(_PUBLISH)
            answer = question()
        except (redis.RedisError, OSError, ValueError) as failure:
            self._fail(failure)
            return None
        self._failures, self.problem = 0, ""
        return answer

    def _fail(self, failure: Exception) -> None:
        self._failures += 1
        self.problem = f"{self._address}: {str(failure) or type(failure).__name__}"
        self._not_before_ns = self._now_ns() + min(AGAIN_MOST_NS, AGAIN_FIRST_NS << min(self._failures - 1, 10))

    def _connect(self) -> Any:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        parts = urlsplit(self._address)
        options: dict[str, Any] = {
            "socket_timeout": ANSWER_SECONDS,
            "socket_connect_timeout": CONNECT_SECONDS,
            # By itself the package tries again ten times.
            "retry": Retry(NoBackoff(), 0),
            "username": parts.username,
            "password": self._password(),
        }
        if parts.scheme == "unix":
            return redis.Redis(unix_socket_path=parts.path, **options)
        options |= {"host": parts.hostname, "port": parts.port or _DEFAULT_PORT, "db": int(parts.path.strip("/") or 0)}
        return redis.Redis(ssl=parts.scheme == "rediss", **options)
