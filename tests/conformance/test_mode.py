"""Groups that share their part of the cache with nobody."""

from collections.abc import Iterator
from errno import EINVAL, ENOSPC

import pytest
from conformance.mounted import Mounted, refused


@pytest.fixture(autouse=True)
def _cache_is_given_back(resctrl: Mounted) -> Iterator[None]:
    """These cases change what the default group may use."""
    resctrl.cache()
    resctrl.disturb("takes parts of the cache from the default group")
    before = resctrl.read("schemata")
    yield
    resctrl.clean_up()
    resctrl.write("shareable\n", "mode")
    resctrl.write(before, "schemata")


def domains(resctrl: Mounted) -> list[int]:
    parts = resctrl.read("info", resctrl.cache(), "bit_usage").strip().split(";")
    return [int(part.split("=")[0]) for part in parts]


def set_masks(resctrl: Mounted, mask: int, *group: str) -> None:
    """The same in all domains."""
    resctrl.write(f"{resctrl.cache()}:" + ";".join(f"{domain}={mask:x}" for domain in domains(resctrl)) + "\n", *group, "schemata")


def bits(resctrl: Mounted) -> int:
    return int(resctrl.read("info", resctrl.cache(), "cbm_mask"), 16).bit_count()


def exclusive_group(resctrl: Mounted, mask: int = 0b1) -> str:
    """A group that has `mask` for itself, the default group having the rest."""
    set_masks(resctrl, ((1 << bits(resctrl)) - 1) & ~mask)
    group = resctrl.new_control()
    set_masks(resctrl, mask, group)
    resctrl.write("exclusive\n", group, "mode")
    return group


def use(resctrl: Mounted) -> str:
    """The letters of the first domain."""
    return resctrl.read("info", resctrl.cache(), "bit_usage").split(";")[0].split("=")[1]


def test_groups_share_at_first(resctrl: Mounted) -> None:
    """The default group and every new one."""
    assert resctrl.read("mode") == "shareable\n"
    assert resctrl.read(resctrl.new_control(), "mode") == "shareable\n"


def test_the_mode_that_is_can_be_written(resctrl: Mounted) -> None:
    """A success that changes nothing."""
    group = resctrl.new_control()
    resctrl.write("shareable\n", group, "mode")
    assert resctrl.read(group, "mode") == "shareable\n"


@pytest.mark.parametrize("word", ["private", "", "Exclusive", " exclusive", "exclusive ", "pseudo-locked", "exclusive\nx"])
def test_other_words_are_refused(resctrl: Mounted, word: str) -> None:
    """EINVAL, and the word for it; a region is not locked by saying so."""
    group = resctrl.new_control()
    with refused(EINVAL):
        resctrl.write(f"{word}\n", group, "mode")
    assert resctrl.status() == "Unknown or unsupported mode\n"
    assert resctrl.read(group, "mode") == "shareable\n"


def test_a_mode_ends_with_a_newline(resctrl: Mounted) -> None:
    """EINVAL without it, before the status is touched."""
    said = resctrl.soil_status()
    with refused(EINVAL):
        resctrl.write("shareable", "mode")
    assert resctrl.status() == said


def test_who_overlaps_is_not_exclusive(resctrl: Mounted) -> None:
    """EINVAL while another group may use one of the bits."""
    group = resctrl.new_control()
    with refused(EINVAL):
        resctrl.write("exclusive\n", group, "mode")
    assert resctrl.status() == "Schemata overlaps\n"
    assert resctrl.read(group, "mode") == "shareable\n"


def test_a_group_with_a_part_of_its_own_is_exclusive(resctrl: Mounted) -> None:
    """Once the others have left it."""
    group = exclusive_group(resctrl)
    assert resctrl.read(group, "mode") == "exclusive\n"
    assert resctrl.status() == "ok\n"


def test_nobody_enters_an_exclusive_part(resctrl: Mounted) -> None:
    """EINVAL for masks of others that touch it; the default group is one of these."""
    exclusive_group(resctrl)
    for group in ("", resctrl.new_control()):
        with refused(EINVAL):
            resctrl.write(f"{resctrl.cache()}:0=1\n", group, "schemata")
        assert resctrl.status() == "Overlaps with exclusive group\n"


def test_an_exclusive_group_enters_no_other_part(resctrl: Mounted) -> None:
    """EINVAL for its own mask."""
    group = exclusive_group(resctrl)
    with refused(EINVAL):
        resctrl.write(f"{resctrl.cache()}:0=3\n", group, "schemata")
    assert resctrl.status() == "Overlaps with other group\n"


def test_a_new_group_gets_no_exclusive_part(resctrl: Mounted) -> None:
    """It starts with all that is shared or free."""
    exclusive_group(resctrl)
    newer = resctrl.new_control()
    line = next(line for line in resctrl.read(newer, "schemata").splitlines() if resctrl.cache() in line)
    masks = {int(part.split("=")[1], 16) for part in line.split(":")[1].split(";")}
    assert masks == {((1 << bits(resctrl)) - 1) & ~1}


def test_a_part_that_nobody_uses_is_shown_and_given_to_the_next(resctrl: Mounted) -> None:
    """`0` in the use of bits, until a new group takes it up."""
    set_masks(resctrl, 0b10)
    assert use(resctrl).endswith("0S0")
    newer = resctrl.new_control()
    assert use(resctrl).endswith("SSS")
    resctrl.remove(newer)
    assert use(resctrl).endswith("0S0")


def test_an_exclusive_part_is_shown(resctrl: Mounted) -> None:
    """`E` in the use of bits, `S` beside it."""
    group = exclusive_group(resctrl, 0b11)
    assert use(resctrl).endswith("SEE")
    resctrl.write("shareable\n", group, "mode")
    assert use(resctrl).endswith("SSS")


def test_hardware_that_shares_prevents_exclusiveness(resctrl: Mounted) -> None:
    """EINVAL for a mask with a bit of shareable_bits, though no group has it."""
    shared = int(resctrl.read("info", resctrl.cache(), "shareable_bits"), 16)
    resctrl.need(shared != 0, "no bits that hardware shares")
    rest = ((1 << bits(resctrl)) - 1) & ~shared
    set_masks(resctrl, rest)
    group = resctrl.new_control()
    set_masks(resctrl, shared, group)
    assert "H" not in use(resctrl)
    with refused(EINVAL):
        resctrl.write("exclusive\n", group, "mode")
    assert resctrl.status() == "Schemata overlaps\n"


def test_bits_that_only_hardware_uses_are_shown(resctrl: Mounted) -> None:
    """`H` for a bit of shareable_bits that no group has, `X` for one that a group has too."""
    shared = int(resctrl.read("info", resctrl.cache(), "shareable_bits"), 16)
    resctrl.need(shared != 0, "no bits that hardware shares")
    assert use(resctrl).count("X") == shared.bit_count()
    set_masks(resctrl, 0b1)
    assert use(resctrl).count("H") == shared.bit_count()


def test_a_removed_exclusive_group_leaves_its_part_free(resctrl: Mounted) -> None:
    """Others may have it then."""
    group = exclusive_group(resctrl)
    resctrl.remove(group)
    assert use(resctrl).endswith("S0")
    resctrl.write(f"{resctrl.cache()}:0=1\n", "schemata")


@pytest.mark.profiles("tiny")
def test_no_group_is_made_where_no_part_is_left(resctrl: Mounted) -> None:
    """ENOSPC with the domain in the status, and neither the group nor its ids stay behind."""
    resctrl.need(resctrl.read("info", resctrl.cache(), "shareable_bits") == "0\n", "bits that hardware shares")
    resctrl.need(resctrl.read("info", resctrl.cache(), "min_cbm_bits") != "0\n", "empty masks")
    exclusive_group(resctrl)
    set_masks(resctrl, ((1 << bits(resctrl)) - 1) & ~1)
    resctrl.write("exclusive\n", "mode")
    before = resctrl.names()
    # More than there are control ids, and fewer than ids of monitoring, each of which rests after it.
    for _ in range(4):
        with refused(ENOSPC):
            resctrl.new_control()
        assert resctrl.status().startswith(f"No space on {resctrl.cache()}:")
    assert resctrl.names() == before
    # The ids of monitoring that were taken and given back can be used again, all of them if need be.
    if resctrl.profile == "tiny":
        assert [resctrl.exists(resctrl.new_monitor()) for _ in range(6)] == [True] * 6
