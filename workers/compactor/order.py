"""What a compactor's process is told: settings, where to work, and which files are left alone. PURE."""

import msgspec
from msgspec import Struct

from agent.config import Config
from agent.lake_setting import (
    COMPACTOR_FILE_BYTES,
    COMPACTOR_FILE_BYTES_MIN,
    COMPACTOR_MEMORY,
    COMPACTOR_SETTINGS,
    LAKE_GRACE,
    LAKE_SETTINGS,
)
from agent.model.errors import ConfigError, FormatError
from workers.compactor.plan import QUIET_NS
from workers.compactor.round_terms import RoundTerms

ORDER_BYTES_MAX = 1 << 20
ORDER_FILE = "order.json"


class LakeOrder(Struct, frozen=True):
    """`values`: those of the settings of the store and of the compactor, by key. `holder`: who compacts, for others to read.
    `passed`: files that could not be used before, by path with their bytes."""

    values: dict[str, int | str | bool]
    holder: str
    passed: dict[str, int] = {}

    @property
    def config(self) -> Config:
        """The settings."""
        return Config(self.values)


def order_of(config: Config, holder: str, passed: dict[str, int]) -> LakeOrder:
    """The order that a configuration gives."""
    keys = {setting.key for setting in (*LAKE_SETTINGS, *COMPACTOR_SETTINGS)}
    return LakeOrder({key: value for key, value in config.values.items() if key in keys}, holder, passed)


def round_terms(order: LakeOrder, scratch: str, tables: tuple[str, ...] = (), *, is_at_once: bool = False) -> RoundTerms:
    """How the round works. *Raises:* ConfigError.

    `is_at_once`: days that are over are compacted although files of them have just landed.
    """
    check_sizes(order.config)
    of = order.config.of
    return RoundTerms(
        scratch,
        of(COMPACTOR_FILE_BYTES),
        of(COMPACTOR_FILE_BYTES_MIN),
        of(COMPACTOR_MEMORY),
        of(LAKE_GRACE),
        0 if is_at_once else QUIET_NS,
        tables,
        order.passed,
    )


def check_sizes(config: Config) -> None:
    """*Raises:* ConfigError where files of the size wanted would be compacted again and again."""
    if config.of(COMPACTOR_FILE_BYTES) < config.of(COMPACTOR_FILE_BYTES_MIN):
        raise ConfigError(
            COMPACTOR_FILE_BYTES_MIN.key, f"it is larger than {COMPACTOR_FILE_BYTES.key}", "make it half as large as that"
        )


def encode_order(order: LakeOrder) -> bytes:
    """As the process reads it."""
    return msgspec.json.encode(order)


def decode_order(data: bytes) -> LakeOrder:
    """*Raises:* FormatError."""
    try:
        return msgspec.json.decode(data, type=LakeOrder)
    except (msgspec.DecodeError, UnicodeDecodeError) as cause:
        raise FormatError("order to compact", str(cause)) from cause
