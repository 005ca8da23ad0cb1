"""Files stay open as long as this process may have them, and there is always room for what must still be opened."""

import errno

import pytest

from workers.framework.descriptor_pool import SPARE_DESCRIPTORS, DescriptorPool


class Opener:
    """Gives descriptors until there are too many."""

    def __init__(self, open_max: int) -> None:
        self.open_max = open_max
        self.opened: dict[int, str] = {}
        self._last = 2
        self.closing_fails = False

    def open(self, path: str) -> int:
        """One more."""
        if path == "missing":
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        if len(self.opened) >= self.open_max:
            raise OSError(errno.EMFILE, "too many open files", path)
        self._last += 1
        self.opened[self._last] = path
        return self._last

    def close(self, descriptor: int) -> None:
        """One less."""
        del self.opened[descriptor]
        if self.closing_fails:
            raise OSError(errno.ENODEV, "gone")

    def read(self) -> bytes:
        """Something that needs a descriptor for a moment."""
        self.close(self.open("other"))
        return b"read"


def test_what_is_kept_is_found_and_given_back() -> None:
    """Giving back what is not kept does nothing."""
    opener = Opener(10)
    pool: DescriptorPool[str] = DescriptorPool(opener)
    descriptor = pool.keep("a", "a/stat")
    assert (pool.get("a"), len(pool), pool.get("b")) == (descriptor, 1, None)
    pool.give_back("a")
    pool.give_back("a")
    assert (len(pool), opener.opened) == (0, {})


def test_a_shortage_gives_some_back_and_none_is_added_after_it() -> None:
    """The last ones go, their owners are told, and everything else finds room."""
    opener = Opener(40)
    told: list[int] = []
    pool: DescriptorPool[int] = DescriptorPool(opener, told.append)
    for key in range(40):
        assert pool.keep(key, str(key)) is not None
    assert pool.keep(40, "40") is None
    assert len(pool) == 40 - SPARE_DESCRIPTORS
    assert told == list(range(39, 39 - SPARE_DESCRIPTORS, -1))
    assert pool.keep(41, "41") is None
    assert len(opener.opened) == 40 - SPARE_DESCRIPTORS
    pool.give_back(0)
    assert pool.keep(42, "42") is not None


def test_what_needs_a_descriptor_for_a_moment_gets_one() -> None:
    """It is tried again after some were given back."""
    opener = Opener(20)
    pool: DescriptorPool[int] = DescriptorPool(opener)
    for key in range(20):
        pool.keep(key, str(key))
    assert pool.with_room(opener.read) == b"read"
    assert len(pool) == 20 - SPARE_DESCRIPTORS


def test_other_failures_and_a_shortage_that_is_not_ours_are_the_callers() -> None:
    """Nothing is given back for them."""
    pool: DescriptorPool[int] = DescriptorPool(Opener(1))
    pool.keep(1, "1")
    with pytest.raises(FileNotFoundError):
        pool.keep(2, "missing")
    assert len(pool) == 1
    empty: DescriptorPool[int] = DescriptorPool(Opener(0))
    with pytest.raises(OSError, match="too many"):
        empty.keep(1, "1")


def test_a_descriptor_whose_close_fails_is_free() -> None:
    """Its file system may be gone."""
    opener = Opener(10)
    pool: DescriptorPool[int] = DescriptorPool(opener)
    pool.keep(1, "1")
    opener.closing_fails = True
    pool.give_back(1)
    assert len(pool) == 0


def test_closing_gives_everything_back_and_beats() -> None:
    """Once in so many."""
    opener = Opener(1000)
    pool: DescriptorPool[int] = DescriptorPool(opener)
    for key in range(300):
        pool.keep(key, str(key))
    beats: list[int] = []
    pool.close(lambda: beats.append(len(pool)), closes_per_beat=100)
    assert (len(pool), len(opener.opened), len(beats)) == (0, 0, 3)
