"""The forms of the files below info, on every kind of machine."""

import re
from errno import EACCES, EINVAL, ERANGE

import pytest
from conformance.mounted import Mounted, refused

pytestmark = pytest.mark.profiles("intel-2socket", "amd-ccd", "snc2", "monitor-only", "occupancy-only", "mbm-only", "arm-mpam")
L3_EVENTS = ["llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"]
# The settings of bandwidth monitoring that AMD machines let one choose, as bits.
DEFAULT_TOTAL, DEFAULT_LOCAL = "0x7f", "0x15"


def number(resctrl: Mounted, *path: str, base: int = 10) -> int:
    """The content, which must be one number and a newline and nothing else, in the form that the kernel writes."""
    content = resctrl.read(*path)
    assert re.fullmatch(r"(0|[1-9a-f][0-9a-f]*)\n" if base == 16 else r"(0|[1-9][0-9]*)\n", content), f"{path}: {content!r}"
    return int(content, base)


def caches(resctrl: Mounted) -> list[str]:
    return [name for name in resctrl.control_resources() if resctrl.exists("info", name, "cbm_mask")]


def bandwidths(resctrl: Mounted) -> list[str]:
    return [name for name in resctrl.control_resources() if resctrl.exists("info", name, "min_bandwidth")]


def schemata_domains(resctrl: Mounted, resource: str) -> list[str]:
    """The domains of one resource, as the schemata of the default group lists them."""
    lines = dict(line.strip().split(":") for line in resctrl.read("schemata").splitlines())
    return [part.split("=")[0] for part in lines[resource].split(";")]


def test_info_describes_what_can_be_divided_and_what_can_be_monitored(resctrl: Mounted) -> None:
    """Its directories are resources of either kind; beside them stands the status of the last command alone."""
    assert resctrl.names("info") == {"last_cmd_status", *resctrl.control_resources(), *resctrl.monitored()}
    assert resctrl.control_resources() or resctrl.monitored()


def test_the_resources_of_info_are_those_of_the_schemata(resctrl: Mounted) -> None:
    """Each resource that can be divided has a line in the schemata of the default group, and no other has one."""
    lines = [line.strip().split(":")[0] for line in resctrl.read("schemata").splitlines()]
    assert sorted(lines) == resctrl.control_resources()


def test_numbers_of_control_ids_are_decimal_and_leave_room(resctrl: Mounted) -> None:
    """num_closids counts the default group, so that one alone would be no allocation."""
    for resource in resctrl.control_resources():
        assert number(resctrl, "info", resource, "num_closids") >= 2


def test_capacity_masks_are_unbroken_runs_of_ones_in_bare_hexadecimal(resctrl: Mounted) -> None:
    """cbm_mask is all that can be given away, from bit 0 on and without `0x`."""
    for cache in caches(resctrl):
        mask = number(resctrl, "info", cache, "cbm_mask", base=16)
        assert mask & (mask + 1) == 0
        assert mask


def test_a_least_number_of_bits_fits_the_mask(resctrl: Mounted) -> None:
    """min_cbm_bits is no more than there are; AMD machines allow 0."""
    for cache in caches(resctrl):
        assert (
            0 <= number(resctrl, "info", cache, "min_cbm_bits") <= number(resctrl, "info", cache, "cbm_mask", base=16).bit_count()
        )


def test_shared_bits_lie_in_the_mask(resctrl: Mounted) -> None:
    """shareable_bits, what devices use as well, is hexadecimal and part of cbm_mask."""
    for cache in caches(resctrl):
        shared = number(resctrl, "info", cache, "shareable_bits", base=16)
        assert shared & ~number(resctrl, "info", cache, "cbm_mask", base=16) == 0


def test_use_of_bits_has_one_letter_for_each_bit_of_each_domain(resctrl: Mounted) -> None:
    """bit_usage lists the domains of the schemata, each with as many letters as cbm_mask has bits."""
    for cache in caches(resctrl):
        parts = [part.split("=") for part in resctrl.read("info", cache, "bit_usage").strip().split(";")]
        assert [domain for domain, _ in parts] == schemata_domains(resctrl, cache)
        length = number(resctrl, "info", cache, "cbm_mask", base=16).bit_count()
        for _, letters in parts:
            assert re.fullmatch(f"[0XHSEP]{{{length}}}", letters)


def test_all_bits_of_an_undivided_cache_are_in_use(resctrl: Mounted) -> None:
    """The default group has everything: `S`, or `X` where hardware uses a bit too."""
    for cache in caches(resctrl):
        shared = number(resctrl, "info", cache, "shareable_bits", base=16)
        length = number(resctrl, "info", cache, "cbm_mask", base=16).bit_count()
        expected = "".join("X" if shared >> bit & 1 else "S" for bit in reversed(range(length)))
        for part in resctrl.read("info", cache, "bit_usage").strip().split(";"):
            if resctrl.profile != "real":
                assert part.split("=")[1] == expected
            assert "P" not in part


def test_broken_masks_are_allowed_or_not(resctrl: Mounted) -> None:
    """sparse_masks is 0 or 1."""
    for cache in caches(resctrl):
        assert number(resctrl, "info", cache, "sparse_masks") in (0, 1)


def test_bandwidth_has_a_least_share_and_a_step(resctrl: Mounted) -> None:
    """min_bandwidth, bandwidth_gran and delay_linear are numbers, the last one 0 or 1."""
    for bandwidth in bandwidths(resctrl):
        assert number(resctrl, "info", bandwidth, "min_bandwidth") >= 0
        assert number(resctrl, "info", bandwidth, "bandwidth_gran") >= 1
        assert number(resctrl, "info", bandwidth, "delay_linear") in (0, 1)


def test_throttling_names_its_manner(resctrl: Mounted) -> None:
    """thread_throttle_mode, where a machine has it, is one of three words."""
    for bandwidth in bandwidths(resctrl):
        if resctrl.exists("info", bandwidth, "thread_throttle_mode"):
            assert resctrl.read("info", bandwidth, "thread_throttle_mode") in ("max\n", "per-thread\n", "undefined\n")


def test_monitoring_ids_are_numbered(resctrl: Mounted) -> None:
    """num_rmids is a decimal number; one of them is the default group's."""
    resctrl.need_monitoring()
    assert number(resctrl, "info", "L3_MON", "num_rmids") >= 2


def test_features_are_events_in_the_order_of_the_kernel(resctrl: Mounted) -> None:
    """One line for each event, occupancy before total before local, and behind a configurable one its configuration."""
    resctrl.need_monitoring()
    known = [word for event in L3_EVENTS for word in (event, f"{event}_config")]
    features = resctrl.features()
    assert features
    assert features == sorted(features, key=known.index)
    assert len(set(features)) == len(features)


def test_configurable_events_have_their_file(resctrl: Mounted) -> None:
    """A feature `<event>_config` and a file of this name come together."""
    resctrl.need_monitoring()
    said = {feature for feature in resctrl.features() if feature.endswith("_config")}
    found = {name for name in resctrl.names("info", "L3_MON") if name.endswith("_config")}
    # Where counters are assigned, the files are hidden and so are the words.
    assert said == found


def test_the_threshold_of_reuse_is_a_number(resctrl: Mounted) -> None:
    """max_threshold_occupancy stands there, also on machines without occupancy."""
    resctrl.need_monitoring()
    number(resctrl, "info", "L3_MON", "max_threshold_occupancy")


def test_the_threshold_is_rounded_down(resctrl: Mounted) -> None:
    """What is read is at most what was written, and written again it stays."""
    resctrl.need_monitoring()
    place = ("info", "L3_MON", "max_threshold_occupancy")
    before = resctrl.read(*place)
    try:
        resctrl.write("200001\n", *place)
        rounded = number(resctrl, *place)
        assert rounded <= 200001
        resctrl.write(f"{rounded}", *place)
        assert number(resctrl, *place) == rounded
    finally:
        resctrl.write(before, *place)


@pytest.mark.parametrize(("written", "expected"), [("0x30000", 0x30000), ("0600000", 0o600000), ("+196608", 196608), ("0", 0)])
def test_the_threshold_takes_numbers_as_the_kernel_reads_them(resctrl: Mounted, written: str, expected: int) -> None:
    """Hexadecimal, octal, with a plus, with or without a newline: the same as the decimal number."""
    resctrl.need_monitoring()
    place = ("info", "L3_MON", "max_threshold_occupancy")
    before = resctrl.read(*place)
    try:
        resctrl.write(f"{expected}\n", *place)
        plain = resctrl.read(*place)
        resctrl.write("65536\n", *place)
        resctrl.write(written, *place)
        assert resctrl.read(*place) == plain
    finally:
        resctrl.write(before, *place)


@pytest.mark.parametrize(
    ("written", "errno"),
    [
        ("many\n", EINVAL),
        ("\n", EINVAL),
        ("-1\n", EINVAL),
        ("1 2\n", EINVAL),
        ("1_000\n", EINVAL),
        ("4294967295\n", EINVAL),
        ("4294967296\n", ERANGE),
    ],
)
def test_a_threshold_that_cannot_be_is_refused(resctrl: Mounted, written: str, errno: int) -> None:
    """No number, less than nothing, more than the cache, more than 32 bits: refused, and the old one stays."""
    resctrl.need_monitoring()
    place = ("info", "L3_MON", "max_threshold_occupancy")
    before = resctrl.read(*place)
    with refused(errno):
        resctrl.write(written, *place)
    assert resctrl.read(*place) == before


def test_what_only_reports_cannot_be_opened_for_writing_by_root(resctrl: Mounted) -> None:
    """The mode binds root as well: kernfs looks at it where others would let root pass."""
    with refused(EACCES):
        resctrl.write("ok\n", "info", "last_cmd_status")
    resctrl.need_monitoring()
    for name in ("num_rmids", "mon_features"):
        with refused(EACCES):
            resctrl.write("1\n", "info", "L3_MON", name)


@pytest.mark.profiles("amd-ccd")
def test_event_configurations_start_with_all_transactions_and_the_local_ones(resctrl: Mounted) -> None:
    """One `<domain>=<two hexadecimal digits>` for each domain."""
    for event, default in (("mbm_total_bytes", DEFAULT_TOTAL), ("mbm_local_bytes", DEFAULT_LOCAL)):
        resctrl.need(f"{event}_config" in resctrl.features(), "no configurable events")
        expected = ";".join(f"{int(domain.rpartition('_')[2])}={default}" for domain in resctrl.domains())
        assert resctrl.read("info", "L3_MON", f"{event}_config") == f"{expected}\n"


@pytest.mark.profiles("amd-ccd")
def test_an_event_configuration_changes_for_the_named_domain_alone(resctrl: Mounted) -> None:
    """The others keep theirs; the file tells it back."""
    resctrl.need("mbm_total_bytes_config" in resctrl.features(), "no configurable events")
    resctrl.disturb("sets all counts of bandwidth back")
    place = ("info", "L3_MON", "mbm_total_bytes_config")
    before = resctrl.read(*place)
    first, _, others = before.partition(";")
    try:
        resctrl.write("0=0x33\n", *place)
        assert first.startswith("0=")
        assert resctrl.read(*place) == f"0=0x33;{others}"
    finally:
        resctrl.write(before, *place)
    assert resctrl.read(*place) == before


@pytest.mark.profiles("amd-ccd")
@pytest.mark.parametrize(
    ("written", "status"),
    [
        ("x=0x33\n", "Missing '=' or non-numeric domain id\n"),
        ("0=zz\n", "Non-numeric event configuration value\n"),
        ("0\n", "Non-numeric event configuration value\n"),
        ("0=0x80\n", "Invalid event configuration: max valid mask is 0x7f\n"),
        ("99=0x33\n", None),
    ],
)
def test_a_wrong_event_configuration_is_refused(resctrl: Mounted, written: str, status: str | None) -> None:
    """EINVAL with the kernel's word where it has one, and nothing changes."""
    resctrl.need("mbm_total_bytes_config" in resctrl.features(), "no configurable events")
    place = ("info", "L3_MON", "mbm_total_bytes_config")
    before = resctrl.read(*place)
    with refused(EINVAL):
        resctrl.write(written, *place)
    if status is not None:
        assert resctrl.status() == status
    assert resctrl.read(*place) == before
