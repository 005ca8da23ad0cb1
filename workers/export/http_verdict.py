"""What an answer over HTTP means for what was sent. PURE."""

from collections.abc import Callable

from agent.model.foreign import readable
from agent.model.timebase import S
from workers.export.http_answer import HttpAnswer, retry_after_ns
from workers.export.sink import Later, Paused, Refused, TooLarge

TEXT_LENGTH_MAX = 200
TOLD_AFTER_NS = 30 * S
# What servers say in plain text to a request without TLS at a port that has it.
_WANTS_TLS = (b"HTTP request to an HTTPS server", b"plain HTTP request was sent to HTTPS port", b"requires TLS")
# A collector says 400 instead of 413, for a body that is too large once it is decompressed (opentelemetry-collector v0.161).
_TOO_LARGE = b"request body too large"
_REASONS = {
    400: "it is wrong",
    404: "there is nothing at this path",
    405: "this path takes no data",
    411: "it wants another length",
}


def plain_text(answer: HttpAnswer) -> str:
    """What the server says in words, on one line; empty: nothing that is text."""
    if answer.media_type not in ("", "text/plain", "application/json", "application/problem+json") or answer.is_page:
        return ""
    text = readable(b" ".join(answer.body.split()), TEXT_LENGTH_MAX)
    return text if text.isascii() or "\\x" not in text else ""


def verdict_of(
    answer: HttpAnswer,
    *,
    what: str,
    place: str,
    wall_ns: int,
    is_retried: Callable[[int], bool],
    text: str = "",
) -> Refused | TooLarge | Later | Paused | None:
    """The verdict of an answer; None: the server took it (2xx), the caller reads how much.

    `what` is the other side in words, `place` host and path; `is_retried` says of which status the protocol wants a repetition.
    `text`: what the server said.
    """
    status = answer.status
    said = f": {text}" if text else ""
    if 300 <= status < 400:
        return Paused(f"{place} sends us to another place{_location(answer)}; write that into the endpoint, if it is yours")
    if answer.is_page and (status < 300 or not is_retried(status)):
        page = f"{place} answered {status} with a page for people"
        return Paused(f"{page}: this looks like a web page or proxy, not {what}; look at the endpoint")
    if status < 300:
        return None
    if is_retried(status):
        after_ns = retry_after_ns(answer, wall_ns)
        # Otherwise somebody would wonder why nothing happens.
        asks = f"; it asks us to wait {after_ns // S} s" if after_ns is not None and after_ns >= TOLD_AFTER_NS else ""
        return Later(f"{place} is busy or not ready ({status}{said}){asks}", after_ns)
    if status == 400 and any(words in answer.body for words in _WANTS_TLS):
        return Paused(f"{place} takes TLS only; write the endpoint with https://")
    if status == 400 and _TOO_LARGE in answer.body:
        return TooLarge(f"{place} takes no request of this size ({status}{said})")
    match status:
        case 401:
            return Paused(f"{place} does not take our credentials (401{said}); look at the token, the password or the headers")
        case 403:
            return Paused(f"{place} does not let us write (403{said}); give this user or token the right to write")
        case 407:
            return Paused(
                f"a proxy before {place} wants credentials (407); the agent uses no proxies, let it reach the sink itself"
            )
        case 404 | 405 | 410 | 421:
            thing = what.removeprefix("an ").removeprefix("a ")
            return Paused(f"{place} answered {status}{said}: there is no {thing} here; look at the endpoint")
        case 413:
            return TooLarge(f"{place} takes no request of this size (413{said})")
    return Refused(
        f"http_{status}", f"{place} refused it for good ({status}{said or ', ' + _REASONS.get(status, 'no reason given')})"
    )


def _location(answer: HttpAnswer) -> str:
    found = readable(answer.headers.get("location", ""), TEXT_LENGTH_MAX)
    # A signed address is a secret of its own: what stands behind `?` is left out, and a user before the host.
    found = found.partition("?")[0]
    scheme, slashes, rest = found.partition("://")
    found = scheme + slashes + rest.rpartition("@")[2] if slashes else found
    return f" ({answer.status}, {found})" if found else f" ({answer.status})"
