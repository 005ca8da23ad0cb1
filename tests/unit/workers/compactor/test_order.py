"""Orders: there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import Config
from agent.model.errors import ConfigError, FormatError
from agent.model.timebase import MINUTE
from agent.setting import MIB
from workers.compactor.order import check_sizes, decode_order, encode_order, order_of, round_terms
from workers.compactor.plan import QUIET_NS
from workers.compactor.round_terms import RoundTerms


def test_an_order_has_the_settings_of_the_store_alone() -> None:
    """And comes as it was sent."""
    config = Config({"lake.url": "file:///x", "compactor.memory": 64 * MIB, "state_dir": "/state"})
    order = order_of(config, "me", {"a": 1})
    assert order.values == {"lake.url": "file:///x", "compactor.memory": 64 * MIB}
    assert decode_order(encode_order(order)) == order


def test_a_round_works_as_the_settings_say() -> None:
    """At once only in the foreground."""
    order = order_of(Config({"compactor.memory": 64 * MIB}), "me", {"a": 1})
    wanted = RoundTerms("/s", 256 * MIB, 128 * MIB, 64 * MIB, 10 * MINUTE, QUIET_NS, (), {"a": 1})
    assert round_terms(order, "/s") == wanted
    assert round_terms(order, "/s", ("t",), is_at_once=True) == RoundTerms(
        "/s", 256 * MIB, 128 * MIB, 64 * MIB, 10 * MINUTE, 0, ("t",), {"a": 1}
    )


def test_files_must_not_become_smaller_than_what_is_compacted_again() -> None:
    """They would be, for ever."""
    check_sizes(Config({}))
    with pytest.raises(ConfigError, match=r"compactor\.file_bytes_min"):
        check_sizes(Config({"compactor.file_bytes": 64 * MIB}))


@given(st.binary(max_size=60))
def test_any_bytes_are_an_order_or_a_failure(data: bytes) -> None:
    """Never anything else."""
    with pytest.raises(FormatError):
        decode_order(data)
