"""The content of amdgpu's and kfd's files in sysfs. PURE, and light.

*Source:* linux/Documentation/gpu/amdgpu/thermal.rst and driver-misc.rst; linux/drivers/gpu/drm/amd/amdkfd, kfd_process.c and
kfd_topology.c.
"""

from collections.abc import Mapping

MHZ = 1_000_000


def parse_whole(text: str) -> int | None:
    """A file that is one number. *Absent:* it is none, such as the empty file of a card that sleeps."""
    word = text.strip()
    return int(word) if word.isascii() and word.isdigit() and len(word) <= 20 else None


def parse_clock(text: str) -> int | None:
    """The clock in force in `pp_dpm_sclk`: the level with a star. *Units:* Hz. *Absent:* no level has one."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "*" and words[1].lower().endswith("mhz"):
            number = parse_whole(words[1][:-3])
            return None if number is None else number * MHZ
    return None


def parse_errors(text: str) -> tuple[int | None, int | None]:
    """Corrected and uncorrected memory errors of `ras/umc_err_count`: lines `ue: 0` and `ce: 0`. *Absent:* a line is not there."""
    found = {name.strip(): parse_whole(value) for name, _, value in (line.partition(":") for line in text.splitlines())}
    return found.get("ce"), found.get("ue")


def parse_properties(text: str) -> Mapping[str, int]:
    """The numbers of a node of kfd's topology, by name."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if (number := parse_whole(value)) is not None:
            found[name] = number
    return found
