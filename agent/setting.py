"""Types of settings: a key, a default, a unit, a range, and how the text is read and written. PURE."""

from typing import Generic, Self, TypeVar

from agent.model.host import parse_host_list
from agent.model.timebase import format_duration, parse_duration_ns
from agent.model.toml import quoted

T = TypeVar("T", int, str, bool)

KIB = 1 << 10
MIB = 1 << 20
# Stands for the size `auto` until the start resolves it.
AUTO_BYTES = -1
# The same for a share of the processor.
AUTO_PERCENT = -1


class Setting(Generic[T]):
    """One setting. *Units:* durations are nanoseconds, written `1s`; sizes are bytes, written `16MiB`."""

    # A second name in the environment, for people who know it from another collector.
    environment_alias = ""

    def __init__(self, key: str, default: T, about: str) -> None:
        self.key = key
        self.default: T = default
        self.about = about

    def known_as(self, environment_alias: str) -> Self:
        """The same setting with a second name in the environment. If both are set, the primary name wins."""
        self.environment_alias = environment_alias
        return self

    @property
    def environment_name(self) -> str:
        """`gateway.port` is `EVERGAUGE_GATEWAY_PORT`."""
        return "EVERGAUGE_" + self.key.replace(".", "_").upper()

    @property
    def flag(self) -> str:
        """`gateway.port` is `--gateway-port`."""
        return "--" + self.key.replace(".", "-").replace("_", "-")

    @property
    def section(self) -> str:
        """Its section in the file: `[sampler.process]` for `sampler.process.top_rows`; "" is the part before any section."""
        return self.key.rpartition(".")[0]

    @property
    def name(self) -> str:
        """Its name within the section."""
        return self.key.rpartition(".")[2]

    @property
    def accepted(self) -> str:
        """The accepted values in words, with unit and range."""
        raise NotImplementedError

    def parse(self, value: object) -> T:
        """The setting's value from a value of the file or the text of a variable or flag.

        *Raises:* ValueError that says what is wrong.
        """
        raise NotImplementedError

    def show(self, value: T) -> str:
        """The value as a person would write it."""
        return str(value)

    def toml(self, value: T) -> str:
        """The value as it is written in a TOML file."""
        text = self.show(value)
        return text if isinstance(value, bool) or (isinstance(value, int) and text == str(value)) else quoted(text)


class Whole(Setting[int]):
    """A whole number in a range."""

    def __init__(self, key: str, default: int, least: int, most: int, about: str) -> None:
        super().__init__(key, default, about)
        self.least = least
        self.most = most

    @property
    def accepted(self) -> str:
        return f"a whole number from {self.show(self.least)} to {self.show(self.most)}"

    def parse(self, value: object) -> int:
        number = self._number(value)
        if not self.least <= number <= self.most:
            raise ValueError("out of range")
        return number

    def _number(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError("not a whole number")
        try:
            return int(value)
        except ValueError as cause:
            raise ValueError("not a whole number") from cause


class Duration(Whole):
    """A span of time in nanoseconds, written with its unit."""

    @property
    def accepted(self) -> str:
        return f"a duration from {self.show(self.least)} to {self.show(self.most)}, such as 250ms, 1s or 15m"

    def _number(self, value: object) -> int:
        if not isinstance(value, str):
            raise ValueError("a duration needs its unit")
        return parse_duration_ns(value)

    def show(self, value: int) -> str:
        return format_duration(value)


class Size(Whole):
    """A number of bytes, plain or written `64KiB`, `16MiB`."""

    @property
    def accepted(self) -> str:
        return f"a size from {self.show(self.least)} to {self.show(self.most)}"

    def _number(self, value: object) -> int:
        if isinstance(value, str):
            for suffix, scale in (("KiB", KIB), ("MiB", MIB), ("GiB", KIB * MIB), ("B", 1)):
                if value.endswith(suffix):
                    return super()._number(value.removesuffix(suffix)) * scale
        return super()._number(value)

    def show(self, value: int) -> str:
        for suffix, scale in (("GiB", KIB * MIB), ("MiB", MIB), ("KiB", KIB)):
            if value and value % scale == 0:
                return f"{value // scale}{suffix}"
        return f"{value}B"


class Share(Whole):
    """A part of a whole in thousandths, written `0.95`."""

    @property
    def accepted(self) -> str:
        return f"a share from {self.show(self.least)} to {self.show(self.most)}"

    def _number(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError("not a number")
        try:
            return round(float(value) * 1000)
        except (ValueError, OverflowError) as cause:
            raise ValueError("not a number") from cause

    def show(self, value: int) -> str:
        return f"{value / 1000:g}"

    def toml(self, value: int) -> str:
        return self.show(value)


class Percent(Whole):
    """A share of the processor in thousandths of a percent of one core, written `0.5%`; 0: no limit; or auto."""

    @property
    def accepted(self) -> str:
        return f"auto, 0 for no limit, or a percentage of one core up to {self.show(self.most)}, such as 0.5%"

    def parse(self, value: object) -> int:
        return AUTO_PERCENT if value == "auto" else super().parse(value)

    def _number(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError("not a percentage")
        text = value.removesuffix("%").strip() if isinstance(value, str) else value
        try:
            return round(float(text) * 1000)
        except (ValueError, OverflowError) as cause:
            raise ValueError("not a percentage") from cause

    def show(self, value: int) -> str:
        if value == AUTO_PERCENT:
            return "auto"
        return f"{value / 1000:.10g}%" if value else "0"


class AutoSize(Size):
    """A number of bytes, or auto: the start resolves it from what this host has."""

    @property
    def accepted(self) -> str:
        return f"auto, or {super().accepted}"

    def parse(self, value: object) -> int:
        return AUTO_BYTES if value == "auto" else super().parse(value)

    def show(self, value: int) -> str:
        return "auto" if value == AUTO_BYTES else super().show(value)


class Choice(Setting[str]):
    """One of a few words."""

    def __init__(self, key: str, default: str, words: tuple[str, ...], about: str) -> None:
        super().__init__(key, default, about)
        self.words = words

    @property
    def accepted(self) -> str:
        return "one of " + ", ".join(self.words)

    def parse(self, value: object) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise ValueError("not one of the words")
        return value


class Text(Setting[str]):
    """Text; an empty text means "not set" where the description says so. *Range:* 4096 bytes."""

    @property
    def accepted(self) -> str:
        return "text of at most 4096 bytes without control characters"

    def parse(self, value: object) -> str:
        if not isinstance(value, str) or len(value.encode()) > 4096 or (value and not value.isprintable()):
            raise ValueError("too long, or with control characters")
        return value


class SocketPath(Text):
    """The absolute path of a Unix socket; empty only where that is the default. *Range:* 4096 bytes."""

    @property
    def accepted(self) -> str:
        return f"an absolute path{'' if self.default else ', or nothing'}"

    def parse(self, value: object) -> str:
        path = super().parse(value)
        if path == self.default:
            return path
        if not path.startswith("/"):
            raise ValueError("no absolute path")
        return path


class Address(Setting[str]):
    """A numeric IP address, or empty. Not a name, because resolving a name can block."""

    @property
    def accepted(self) -> str:
        return "a numeric IP address such as 127.0.0.1 or ::1, or nothing"

    def parse(self, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("not a text")
        if value and value != self.default:
            # Imported only for other values than the default: it costs 5 ms at the start.
            from ipaddress import ip_address

            ip_address(value)
        return value


class Hosts(Setting[str]):
    """Host names and IP addresses, separated by commas; `*` means every name. *Range:* 4096 characters."""

    @property
    def accepted(self) -> str:
        return "host names and IP addresses without ports, separated by commas, or nothing"

    def parse(self, value: object) -> str:
        if not isinstance(value, str) or len(value) > 4096:
            raise ValueError("not a list of hosts")
        parse_host_list(value)
        return value


class Switch(Setting[bool]):
    """true or false."""

    @property
    def accepted(self) -> str:
        return "true or false"

    def parse(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return value == "true"
        raise ValueError("neither true nor false")

    def show(self, value: bool) -> str:
        return "true" if value else "false"


class AutoSwitch(Setting[str]):
    """true, false, or auto: on if this host has what it needs."""

    @property
    def accepted(self) -> str:
        return "true, false or auto"

    def parse(self, value: object) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if value in ("true", "false", "auto"):
            return str(value)
        raise ValueError("neither true nor false nor auto")


AnySetting = Setting[int] | Setting[str] | Setting[bool]
