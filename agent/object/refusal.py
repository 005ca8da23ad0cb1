"""What a failure of a bucket means: whether it passes by itself, and a sentence for a person. PURE."""

import re

from msgspec import Struct

from agent.object.place import CREDENTIAL_KEYS, ObjectPlace

# What obstore says of a failure, in words that later versions may change: then a sentence is less exact, and no verdict worse.
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
_KIND = re.compile(r"kind: (Timeout|Connect|Interrupted|Decode|Request)")
_OWN_CREDENTIALS = ("169.254.", "metadata.google", "/latest/", "/metadata/")
# 409: another request for this name is under way. 425 and 429: come again.
_PASSING = frozenset({408, 409, 425, 429})
_MAY_NOT_LIST = ("AccessDenied", "AuthorizationPermissionMismatch")


class ObjectRefusal(Struct, frozen=True):
    """Why a bucket did not do something. `is_passing`: it may do it later; else a person must act."""

    is_passing: bool
    sentence: str


def forbids_listing(text: str) -> bool:
    """Whether a failure to list says only that this user may not list."""
    return _found(_CODE, text) in _MAY_NOT_LIST


def refusal_of(text: str, place: ObjectPlace, action: str, *, has_credentials: bool) -> ObjectRefusal:
    """What the library's words for a failure mean. `action`: what was tried, such as `write`.

    None of its own words are kept: it has addresses and what a server repeats of a request, where signatures stand.
    """
    where = place.shown
    status, code = int(_found(_STATUS, text) or 0), _found(_CODE, text)
    said = " ".join(filter(None, (str(status or ""), code)))
    if not has_credentials and any(word in text for word in _OWN_CREDENTIALS):
        keys = CREDENTIAL_KEYS[place.provider]
        remedy = f"name them in credentials_file, or set {keys[0]} for the agent"
        return ObjectRefusal(False, f"there are no credentials for {where}; {remedy}")
    if not status:
        return _without_answer(text, where)
    if status >= 500 or status in _PASSING or code in ("SlowDown", "RequestTimeout"):
        return ObjectRefusal(True, f"{where} is busy or not ready ({said})")
    if code == "RequestTimeTooSkewed":
        return ObjectRefusal(False, f"{where} says that this host's clock is wrong ({said}); set it")
    if status in (401, 403):
        remedy = f"look at the credentials, and give them the right to {action}"
        return ObjectRefusal(False, f"{where} does not let us {action} ({said}); {remedy}")
    if status == 404:
        return ObjectRefusal(False, f"{where} is not there ({said}); make the bucket, or correct url and credentials")
    return ObjectRefusal(False, f"{where} refuses to {action} ({said}); look at url, region and endpoint")


def _without_answer(text: str, where: str) -> ObjectRefusal:
    if "certificate" in text.lower():
        return ObjectRefusal(False, f"the certificate of {where} is not known; name its authority in ca_file")
    match _found(_KIND, text):
        case "Timeout":
            return ObjectRefusal(True, f"{where} gave no answer in time")
        case "Connect":
            return ObjectRefusal(True, f"{where} cannot be reached")
    return ObjectRefusal(True, f"the connection to {where} broke")


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""
