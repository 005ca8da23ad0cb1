"""Documents as JSON that is always valid UTF-8, whatever foreign names they contain. PURE."""

import msgspec

from agent.model.control.document import members
from agent.model.foreign import all_encodable


def json_bytes(document: object) -> bytes:
    """Plain values and documents as JSON; a text that is no UTF-8 is written as `agent.model.foreign` writes it.

    *Raises:* TypeError for a value that JSON cannot hold.
    """
    try:
        return msgspec.json.encode(document, enc_hook=members)
    except UnicodeEncodeError:
        return msgspec.json.encode(all_encodable(msgspec.to_builtins(document, enc_hook=members)))
