"""What a control group may use: how schemata are written, refused, shown, and turned into sizes."""

import re
from errno import EINVAL

import pytest
from conformance.mounted import Mounted, refused


@pytest.fixture
def group(resctrl: Mounted) -> str:
    resctrl.need_control()
    resctrl.cache()
    return resctrl.new_control()


def lines(resctrl: Mounted, *path: str) -> dict[str, dict[int, str]]:
    """Value by domain by resource."""
    found = {}
    for line in resctrl.read(*path).splitlines():
        resource, _, rest = line.strip().partition(":")
        found[resource] = {int(part.split("=")[0]): part.split("=")[1] for part in rest.split(";")}
    return found


def full(resctrl: Mounted) -> int:
    return int(resctrl.read("info", resctrl.cache(), "cbm_mask"), 16)


def least(resctrl: Mounted) -> int:
    """The smallest mask, at bit 0."""
    return (1 << max(1, int(resctrl.read("info", resctrl.cache(), "min_cbm_bits")))) - 1


def need_bandwidth(resctrl: Mounted) -> None:
    resctrl.need("MB" in resctrl.control_resources(), "no control of memory bandwidth")
    resctrl.need(resctrl.read("info", "MB", "delay_linear") == "1\n", "no bandwidth in percent")


def test_each_line_is_a_resource_with_all_its_domains(resctrl: Mounted, group: str) -> None:
    """`<resource>:<domain>=<value>;...`, names to the right of one column, and nothing else."""
    shown = resctrl.read(group, "schemata").splitlines()
    assert all(re.fullmatch(r" *[A-Z0-9]+:\d+=[0-9a-f]+(;\d+=[0-9a-f]+)*", line) for line in shown)
    assert len({line.index(":") for line in shown}) == 1
    assert len(shown) == len(resctrl.control_resources())


def test_domains_are_in_order(resctrl: Mounted, group: str) -> None:
    """Ascending numbers, the same for a new group as for the default group."""
    for resource, values in lines(resctrl, group, "schemata").items():
        assert list(values) == sorted(values)
        assert list(values) == list(lines(resctrl, "schemata")[resource])


def test_a_new_group_may_use_everything(resctrl: Mounted, group: str) -> None:
    """Where nobody is exclusive it starts with the full mask and the full bandwidth."""
    shown = lines(resctrl, group, "schemata")
    assert {int(value, 16) for value in shown[resctrl.cache()].values()} == {full(resctrl)}
    if resctrl.exists("info", "MB"):
        assert shown["MB"] == lines(resctrl, "schemata")["MB"]


def test_a_mask_is_set_for_the_named_domain(resctrl: Mounted, group: str) -> None:
    """Those that are not named keep theirs."""
    cache, mask = resctrl.cache(), least(resctrl)
    resctrl.write(f"{cache}:0={mask:x}\n", group, "schemata")
    shown = lines(resctrl, group, "schemata")[cache]
    assert int(shown.pop(0), 16) == mask
    assert {int(value, 16) for value in shown.values()} <= {full(resctrl)}
    assert resctrl.status() == "ok\n"


def test_masks_of_all_domains_in_one_line(resctrl: Mounted, group: str) -> None:
    """In any order."""
    cache, mask = resctrl.cache(), least(resctrl)
    domains = list(lines(resctrl, "schemata")[cache])
    resctrl.write(f"{cache}:" + ";".join(f"{domain}={mask:x}" for domain in reversed(domains)) + "\n", group, "schemata")
    assert {int(value, 16) for value in lines(resctrl, group, "schemata")[cache].values()} == {mask}


@pytest.mark.parametrize(
    "form",
    [
        "{cache}:0={mask:x};\n",
        "  {cache}:0={mask:x}\n",
        "{cache} :0= {mask:x} \n",
        "{cache}:0=0x{mask:x}\n",
        "{cache}:00={mask:x}\n",
    ],
)
def test_forms_that_mean_the_same(resctrl: Mounted, group: str, form: str) -> None:
    """A last semicolon, white space around names and values, `0x`, leading zeros."""
    mask = least(resctrl)
    resctrl.write(form.format(cache=resctrl.cache(), mask=mask), group, "schemata")
    assert int(lines(resctrl, group, "schemata")[resctrl.cache()][0], 16) == mask


def test_what_is_shown_can_be_written(resctrl: Mounted, group: str) -> None:
    """The content of the file is a command that changes nothing."""
    shown = resctrl.read(group, "schemata")
    resctrl.write(shown, group, "schemata")
    assert resctrl.read(group, "schemata") == shown


def test_groups_differ(resctrl: Mounted, group: str) -> None:
    """A mask is of one group, and the default group keeps its own."""
    before = resctrl.read("schemata")
    resctrl.write(f"{resctrl.cache()}:0={least(resctrl):x}\n", group, "schemata")
    assert resctrl.read("schemata") == before


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ("{cache}\n", "Missing ':'\n"),
        ("0=1\n", "Missing ':'\n"),
        ("\n", "Missing ':'\n"),
        ("{cache}:\n", "Missing '{cache}' value\n"),
        ("XX:0=1\n", "Unknown or unsupported resource name 'XX'\n"),
        ("l3:0=1\n", "Unknown or unsupported resource name 'l3'\n"),
        (":0=1\n", "Unknown or unsupported resource name ''\n"),
        ("{cache}:0\n", "Missing '=' or non-numeric domain\n"),
        ("{cache}:x=1\n", "Missing '=' or non-numeric domain\n"),
        ("{cache}:=1\n", "Missing '=' or non-numeric domain\n"),
        ("{cache}:-1=1\n", "Missing '=' or non-numeric domain\n"),
        ("{cache}:0x0=1\n", "Missing '=' or non-numeric domain\n"),
        ("{cache}: 0=1\n", "Missing '=' or non-numeric domain\n"),
        ("{cache}:0=\n", "Non-hex character in the mask \n"),
        ("{cache}:0=xyz\n", "Non-hex character in the mask xyz\n"),
        ("{cache}:0=-1\n", "Non-hex character in the mask -1\n"),
        ("{cache}:0=1 1\n", "Non-hex character in the mask 1 1\n"),
        ("{cache}:0=0\n", "Mask out of range\n"),
        ("{cache}:0={above:x}\n", "Mask out of range\n"),
        ("{cache}:0=5\n", "The mask 5 has non-consecutive 1-bits\n"),
        ("{cache}:0=1;0=1\n", "Duplicate domain 0\n"),
    ],
)
def test_what_is_no_command_is_refused(resctrl: Mounted, group: str, written: str, status: str) -> None:
    """EINVAL with the kernel's word, and nothing has changed."""
    resctrl.need(resctrl.read("info", resctrl.cache(), "sparse_masks") == "0\n", "masks that may be broken")
    before = resctrl.read(group, "schemata")
    with refused(EINVAL):
        resctrl.write(written.format(cache=resctrl.cache(), above=full(resctrl) + 1), group, "schemata")
    assert resctrl.status() == status.format(cache=resctrl.cache())
    assert resctrl.read(group, "schemata") == before


def test_an_unknown_domain_is_refused(resctrl: Mounted, group: str) -> None:
    """EINVAL; the kernel has no word for it, newer ones may."""
    before = resctrl.read(group, "schemata")
    with refused(EINVAL):
        resctrl.write(f"{resctrl.cache()}:99={least(resctrl):x}\n", group, "schemata")
    assert resctrl.read(group, "schemata") == before


def test_a_command_ends_with_a_newline(resctrl: Mounted, group: str) -> None:
    """EINVAL without it, before the status is touched."""
    said, before = resctrl.soil_status(), resctrl.read(group, "schemata")
    with refused(EINVAL):
        resctrl.write(f"{resctrl.cache()}:0={least(resctrl):x}", group, "schemata")
    assert resctrl.status() == said
    assert resctrl.read(group, "schemata") == before


def test_all_of_a_write_or_nothing(resctrl: Mounted, group: str) -> None:
    """A wrong second line or second domain undoes what stands before it."""
    resctrl.need(resctrl.read("info", resctrl.cache(), "min_cbm_bits") != "0\n", "empty masks")
    cache, before = resctrl.cache(), resctrl.read(group, "schemata")
    for wrong in (f"{cache}:0=1\nXX:0=1\n", f"{cache}:0=1;1=0\n", f"{cache}:0=1;99=1\n"):
        with refused(EINVAL):
            resctrl.write(wrong, group, "schemata")
        assert resctrl.read(group, "schemata") == before


@pytest.mark.profiles("occupancy-only")
def test_a_mask_has_a_least_number_of_bits(resctrl: Mounted, group: str) -> None:
    """EINVAL for a shorter run than min_cbm_bits."""
    bits = int(resctrl.read("info", resctrl.cache(), "min_cbm_bits"))
    resctrl.need(bits > 1, "a least mask of one bit")
    with refused(EINVAL):
        resctrl.write(f"{resctrl.cache()}:0=1\n", group, "schemata")
    assert resctrl.status() == f"Need at least {bits} bits in the mask\n"


@pytest.mark.profiles("amd-ccd", "arm-mpam")
def test_a_broken_mask_is_accepted_where_hardware_can(resctrl: Mounted, group: str) -> None:
    """sparse_masks tells it."""
    resctrl.need(resctrl.read("info", resctrl.cache(), "sparse_masks") == "1\n", "no masks that may be broken")
    resctrl.write(f"{resctrl.cache()}:0=5\n", group, "schemata")
    assert int(lines(resctrl, group, "schemata")[resctrl.cache()][0], 16) == 5


@pytest.mark.profiles("amd-ccd")
def test_an_empty_mask_is_accepted_where_no_bit_is_needed(resctrl: Mounted, group: str) -> None:
    """min_cbm_bits 0 means it."""
    resctrl.need(resctrl.read("info", resctrl.cache(), "min_cbm_bits") == "0\n", "a least mask of a bit or more")
    resctrl.write(f"{resctrl.cache()}:0=0\n", group, "schemata")
    assert int(lines(resctrl, group, "schemata")[resctrl.cache()][0], 16) == 0


def test_bandwidth_is_rounded_up_to_a_step(resctrl: Mounted, group: str) -> None:
    """One more than the least becomes the next step."""
    need_bandwidth(resctrl)
    lowest, step = (int(resctrl.read("info", "MB", name)) for name in ("min_bandwidth", "bandwidth_gran"))
    resctrl.write(f"MB:0={lowest + 1}\n", group, "schemata")
    assert int(lines(resctrl, group, "schemata")["MB"][0]) == -(-(lowest + 1) // step) * step


@pytest.mark.parametrize("value", ["abc", "", "0x20", "-20", "20%", "4294967296"])
def test_bandwidth_is_a_plain_number(resctrl: Mounted, group: str, value: str) -> None:
    """EINVAL with the value in the status; hexadecimal is none here."""
    need_bandwidth(resctrl)
    before = resctrl.read(group, "schemata")
    with refused(EINVAL):
        resctrl.write(f"MB:0={value}\n", group, "schemata")
    assert resctrl.status() == f"Invalid MB value {value}\n"
    assert resctrl.read(group, "schemata") == before


def test_bandwidth_lies_within_bounds(resctrl: Mounted, group: str) -> None:
    """EINVAL below the least and above 100, with the bounds in the status."""
    need_bandwidth(resctrl)
    lowest = int(resctrl.read("info", "MB", "min_bandwidth"))
    for value in (lowest - 1, 101):
        with refused(EINVAL):
            resctrl.write(f"MB:0={value}\n", group, "schemata")
        assert resctrl.status() == f"MB value {value} out of range [{lowest},100]\n"


def test_two_resources_in_one_write(resctrl: Mounted, group: str) -> None:
    """One line each."""
    need_bandwidth(resctrl)
    resctrl.write(f"MB:0=50\n{resctrl.cache()}:0={least(resctrl):x}\n", group, "schemata")
    shown = lines(resctrl, group, "schemata")
    assert int(shown["MB"][0]) == 50
    assert int(shown[resctrl.cache()][0], 16) == least(resctrl)


def test_sizes_follow_masks(resctrl: Mounted, group: str) -> None:
    """The bytes of a domain are in proportion to its bits, and the other domain keeps its own."""
    cache, mask = resctrl.cache(), least(resctrl)
    whole = {domain: int(value) for domain, value in lines(resctrl, group, "size")[cache].items()}
    resctrl.write(f"{cache}:0={mask:x}\n", group, "schemata")
    after = {domain: int(value) for domain, value in lines(resctrl, group, "size")[cache].items()}
    assert after.pop(0) * full(resctrl).bit_count() == whole.pop(0) * mask.bit_count()
    assert after == whole


def test_sizes_have_the_shape_of_schemata(resctrl: Mounted, group: str) -> None:
    """The same lines and domains; bandwidth is repeated as it is."""
    schemata, sizes = lines(resctrl, group, "schemata"), lines(resctrl, group, "size")
    assert {name: list(values) for name, values in sizes.items()} == {name: list(values) for name, values in schemata.items()}
    if "MB" in schemata:
        assert sizes["MB"] == schemata["MB"]


def test_a_removed_groups_masks_are_not_inherited(resctrl: Mounted, group: str) -> None:
    """The next group with its id starts with everything."""
    resctrl.write(f"{resctrl.cache()}:0={least(resctrl):x}\n", group, "schemata")
    resctrl.remove(group)
    newer = resctrl.new_control()
    assert int(lines(resctrl, newer, "schemata")[resctrl.cache()][0], 16) == full(resctrl)
