"""What an error of Kafka means for what was sent, by the name that the library gives it. PURE.

*Source:* librdkafka, rdkafka.h: names with a line in front are the library's own, the others the brokers'.
"""

import re
from collections.abc import Mapping

from agent.model.foreign import readable
from workers.export.sink import Later, Paused, Refused, TooLarge

TEXT_LENGTH_MAX = 200
# Only a person can end these. What the brokers said stands in between.
_PAUSING: Mapping[str, str] = {
    "_AUTHENTICATION": "look at user, the password and sasl_mechanism",
    "SASL_AUTHENTICATION_FAILED": "look at user, the password and sasl_mechanism",
    "UNSUPPORTED_SASL_MECHANISM": "set sasl_mechanism to one that the brokers have",
    "_SSL": "look at security, ca_file, cert_file and key_file, and at the names in the brokers' certificates",
    "TOPIC_AUTHORIZATION_FAILED": "let this user describe, create and write the topics",
    "CLUSTER_AUTHORIZATION_FAILED": "let this user create topics and write idempotently",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": "let this user describe and write the transactional id evergauge.*",
    "GROUP_AUTHORIZATION_FAILED": "let this user read the group evergauge.*",
    "INVALID_REPLICATION_FACTOR": "set replication to what the brokers can hold",
    "INVALID_TRANSACTION_TIMEOUT": "set answer_timeout below transaction.max.timeout.ms of the brokers",
    "POLICY_VIOLATION": "make the topics as the brokers' policy wants them",
    "TOPIC_EXCEPTION": "look at topic_prefix",
    "_UNSUPPORTED_FEATURE": "the brokers have no transactions; use Kafka 2.5 or later",
    "UNSUPPORTED_VERSION": "the brokers have no transactions of this kind; use Kafka 2.5 or later",
    "_INVALID_ARG": "look at the section",
}
_TOO_LARGE = frozenset({"MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "_MSG_SIZE_TOO_LARGE"})
# The brokers look into messages and take none of this form: another attempt would end the same way.
_REFUSED = frozenset({"INVALID_RECORD", "_INVALID_MSG"})
_FENCED = frozenset({"_FENCED", "PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH"})
# How long it took, how often, and which of its threads it was, change each time.
_CHANGING = re.compile(r" \(after .*|\[thrd:[^]]{0,200}\]:? ?|(?:Txn|Group)Coordinator(?:/\d+)?: |/bootstrap\b|/\d+(?=: )")


def kafka_verdict(name: str, text: str, place: str) -> Later | Paused | Refused | TooLarge:
    """The verdict of an error of this name; `text` is what the library or a broker said, `place` the brokers."""
    words = said(text)
    if name in _PAUSING:
        return Paused(f"{place}: {words}; {_PAUSING[name]}")
    if name in _TOO_LARGE:
        return TooLarge(f"{place}: {words}; set message_bytes below max.message.bytes of the topics")
    if name in _REFUSED:
        return Refused(name.strip("_").lower(), f"{place}: {words}")
    if name in _FENCED:
        return Later(
            f"{place}: another producer has taken over our transactional id; look whether a second agent has a copy of this state "
            "folder"
        )
    return Later(f"{place} cannot be reached or is not ready ({words})")


def is_pausing(name: str) -> bool:
    """Whether only a person can end it."""
    return name in _PAUSING


def said(text: str) -> str:
    """What the library said on one line, without what changes at each attempt."""
    return readable(" ".join(_CHANGING.sub("", text).split()), TEXT_LENGTH_MAX).rstrip(".: ") or "no reason given"
