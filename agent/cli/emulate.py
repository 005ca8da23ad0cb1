"""The command emulate-resctrl: a resctrl without the hardware, mounted to try the agent with it."""

from textwrap import indent

from agent.cli.call import Call
from agent.cli.option import SWITCH, Command, Option
from agent.cli.render import TextColumn
from agent.model.errors import ConfigError, ExitCode, MisuseError, PermissionRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from workers.resctrl.emulator.profile import Profile
    from workers.resctrl.emulator.scenario import Scenario

# A test reads it as a scenario.
EXAMPLE_SCENARIO = """\
seed = 7                            # of all random choices; printed at the start
bytes_per_cpu_second = 2000000000   # the traffic of a second of CPU time
read_delay = "20us"                 # time that each read takes; other reads wait meanwhile

[[traffic]]                         # these groups have this traffic, whatever they do
path = "mon_groups/pod_*"           # wildcards in each part; **/ in front is any folder
bytes_per_second = 500000000        # in each domain, except in
domains = { "1" = 0 }

[[fault]]                           # one of errno, answer (also garbage, empty), delay
operation = "read"                  # any, mkdir, rmdir, rename, open, read, write
path = "**/llc_occupancy"
answer = "Unavailable"
probability = 0.05                  # also: skip, count, after, until, every with lasts

[[event]]
at = "30s"
repeat = "1m"
do = "vanish"                       # vanish, reset: path; offline, online: domain; occupy: count;
path = "mon_groups/pod_a*"          # lock: lasts; wrap: bits; resident: path, domain, bytes; clear;
                                    # fault and traffic: their keys
"""
DEFAULT_PROFILE = "intel-2socket"
_MIB = 1 << 20


def emulate(call: Call) -> int:
    """`agentctl emulate-resctrl`. *Raises:* EvergaugeError."""
    # Imported here: no other command needs them.
    import os

    from workers.resctrl.emulator.profile import PROFILES
    from workers.resctrl.emulator.server import Options, run

    if call.has("--list-profiles"):
        return _list_profiles(call, PROFILES)
    mount_point = call.text("--mount")
    if not mount_point:
        raise MisuseError("--mount", "the directory to mount at is missing", "write --mount DIR, an empty directory")
    profile = _profile(call, PROFILES)
    options = Options(
        # Made absolute now, because the working directory may change, and with links followed, so that what is mounted,
        # looked for and unmounted is one place.
        mount_point=os.path.realpath(mount_point),
        profile=profile,
        scenario=_scenario(call),
        control_path=call.text("--control"),
        for_ns=_duration(call, "--for"),
        valid_ns=_duration(call, "--names-valid") or 0,
    )
    if os.geteuid() != 0:
        raise PermissionRefused("emulate-resctrl", "this user may not mount", "run it as root")
    run(options, lambda text: _say(call, text))
    return ExitCode.DONE


def _say(call: Call, text: str) -> None:
    call.show([text])
    # The reader that waits for this line may be at the other end of a pipe.
    call.output.flush()


def _profile(call: Call, profiles: "dict[str, Profile]") -> "Profile":
    name = call.text("--profile") or DEFAULT_PROFILE
    if name not in profiles:
        raise MisuseError("--profile", f"{name!r} is not accepted", f"write one of {', '.join(profiles)}")
    if not call.has("--host-cpus"):
        return profiles[name]
    from workers.resctrl.emulator.host_cpus import with_host_cpus

    return with_host_cpus(profiles[name])


def _scenario(call: Call) -> "Scenario":
    from agent.model.foreign import readable
    from agent.model.toml import decode_document
    from workers.resctrl.emulator.scenario import Scenario, parse_scenario

    path = call.text("--scenario")
    if path is None:
        return Scenario()
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as cause:
        raise ConfigError(readable(path), f"the scenario cannot be read: {cause.strerror or cause}") from cause
    return parse_scenario(decode_document(data, origin=path, remedy="correct the scenario"), path)


def _duration(call: Call, name: str) -> int | None:
    from agent.model.timebase import parse_duration_ns

    text = call.text(name)
    try:
        return None if text is None else parse_duration_ns(text)
    except ValueError as cause:
        raise MisuseError(name, str(cause)) from cause


def _list_profiles(call: Call, profiles: "dict[str, Profile]") -> int:
    rows = [
        (
            profile.name,
            str(profile.rmids),
            str(profile.closids or "-"),
            " ".join(map(str, profile.domains)),
            f"{profile.l3_bytes // _MIB} MiB",
            str(profile.counters or "-"),
            " ".join(profile.events),
        )
        for profile in profiles.values()
    ]
    titles = ("PROFILE", "RMIDS", "CLOSIDS", "DOMAINS", "L3", "COUNTERS", "EVENTS")
    if call.wants_json:
        call.show_json(
            [
                {
                    "profile": profile.name,
                    "rmids": profile.rmids,
                    "closids": profile.closids or None,
                    "domains": list(profile.domains),
                    "l3_bytes": profile.l3_bytes,
                    "counters": profile.counters or None,
                    "events": list(profile.events),
                }
                for profile in profiles.values()
            ]
        )
    else:
        call.show_table(tuple(TextColumn(title) for title in titles), rows)
    return ExitCode.DONE


COMMANDS = (
    Command(
        "emulate-resctrl",
        emulate,
        about="mount an emulated resctrl, to try the agent on hardware without it",
        details="It follows the kernel's rules: groups, ids and their limbo, threads that inherit their group, errors. The\n"
        "values follow the CPU time that the threads in a group use, or what a scenario declares.\n"
        "It runs until Ctrl-C, SIGTERM or the end of --for; then it unmounts. It needs root and /dev/fuse.\n"
        'The control socket takes one JSON document per line: the same actions as events, and {"do": "truth"}, {"do": "stats"}.\n'
        "A scenario is a TOML file:\n\n" + indent(EXAMPLE_SCENARIO, "  "),
        options=(
            Option("--mount", "DIR", "the empty directory to mount at"),
            Option("--profile", "NAME", f"the machine to emulate (default {DEFAULT_PROFILE})"),
            Option("--scenario", "FILE", "what groups do and what goes wrong, in TOML"),
            Option("--control", "SOCKET", "make a control socket here, only for this user"),
            Option("--for", "DURATION", "end after this time, such as 10m"),
            Option("--names-valid", "DURATION", "time for which the kernel may cache names and modes (default: none); faster"),
            Option("--host-cpus", "", "share this host's CPUs among the caches; a cache without CPUs is offline", kind=SWITCH),
            Option("--list-profiles", "", "print the profiles and end", kind=SWITCH),
        ),
        examples=(
            "mkdir -p /tmp/resctrl && agentctl emulate-resctrl --mount /tmp/resctrl &",
            "agentd --resctrl-mount /tmp/resctrl",
            "agentctl emulate-resctrl --list-profiles",
        ),
    ),
)
