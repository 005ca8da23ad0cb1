"""The time zone of this process, as the C library has it: from TZ, else from the system."""

from datetime import UTC, datetime, timedelta, tzinfo


class LocalZone(tzinfo):
    """The local zone as `datetime` takes one. *Source:* tzset(3); zoneinfo would not take every form of TZ."""

    def utcoffset(self, at: datetime | None) -> timedelta | None:
        """The offset of a local time."""
        return None if at is None else at.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, _at: datetime | None) -> timedelta | None:
        """Not known: the offset holds it already."""
        return None

    def tzname(self, at: datetime | None) -> str | None:
        """What the C library calls it."""
        return None if at is None else at.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, at: datetime) -> datetime:
        """The local time of a moment, with its fold."""
        return at.replace(tzinfo=UTC).astimezone().replace(tzinfo=self)
