"""What runs on every kernel: twenty crash cases by name, and the tests of the process sampler. PURE.

Five cases are the promises about a worker's death, fifteen are known traps of supervisors (`tests/crash/test_traps.py` has all the
tests of each trap; here is the one that needs a kernel most).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CrashCase:
    """One way in which an agent may be hurt, and the test that does it."""

    name: str
    test: str


_RESILIENCE, _TRAPS = "tests/crash/test_resilience.py", "tests/crash/test_traps.py"
_ALWAYS_DIES = f"{_RESILIENCE}::test_a_worker_that_always_dies_waits_exponentially_longer_until_a_stable_period"

CRASH_CASES = (
    CrashCase("kill -9 of the control plane", f"{_RESILIENCE}::test_a_killed_control_plane_worker_is_replaced"),
    CrashCase(
        "kill -9 of a sampler after rules were added",
        f"{_RESILIENCE}::test_a_killed_sampler_comes_back_with_exactly_the_rules_that_were_added",
    ),
    CrashCase("a worker that always dies", _ALWAYS_DIES),
    CrashCase(
        "several workers killed at once, repeatedly",
        f"{_RESILIENCE}::test_several_workers_killed_at_once_repeatedly_all_come_back_and_nothing_leaks",
    ),
    CrashCase(
        "two agents in networks of their own",
        "tests/crash/test_namespaces.py::test_two_agents_in_networks_of_their_own_do_not_see_each_other",
    ),
    CrashCase(
        "polling without a pause", f"{_TRAPS}::test_polling_without_a_pause_delays_neither_restarts_nor_the_finding_of_hangs"
    ),
    CrashCase("a wait of ten minutes in the loop", f"{_TRAPS}::test_a_worker_that_waits_ten_minutes_holds_up_nobody"),
    CrashCase("JSON read as a length", f"{_TRAPS}::test_a_length_that_nobody_can_mean_ends_the_connection"),
    CrashCase(
        "rules counted as held when they are sent",
        "tests/crash/test_stopped_reader.py::test_a_rule_is_not_held_by_a_worker_until_it_says_so",
    ),
    CrashCase("a start that fails halfway", f"{_TRAPS}::test_a_process_whose_start_fails_halfway_is_ended"),
    CrashCase("a log that nobody reads", f"{_TRAPS}::test_a_log_that_nobody_reads_stops_nothing"),
    CrashCase("a backoff forgiven at the start", _ALWAYS_DIES),
    CrashCase(
        "a rule changed under its name", f"{_TRAPS}::test_a_rule_that_changes_under_its_name_changes_what_every_worker_reports"
    ),
    CrashCase(
        "an old acknowledgement", f"{_TRAPS}::test_an_old_acknowledgement_of_the_same_rules_is_not_taken_for_that_of_the_repair"
    ),
    CrashCase("a stopped peer", f"{_TRAPS}::test_a_message_that_a_stopped_peer_has_no_room_for_is_refused_and_not_dropped"),
    CrashCase("a second supervisor", f"{_TRAPS}::test_a_second_supervisor_steals_no_socket_of_the_first"),
    CrashCase("a socket that crosses a fork", f"{_TRAPS}::test_no_socket_and_no_thread_of_zeromq_is_there_to_cross_a_fork"),
    CrashCase("a process number used again", f"{_TRAPS}::test_a_stranger_with_a_dead_workers_number_is_not_signalled"),
    CrashCase("a wall clock that jumps", f"{_TRAPS}::test_a_wall_clock_that_jumps_by_days_changes_no_delay"),
    CrashCase("a busy worker", "tests/crash/test_signals.py::test_a_worker_that_is_merely_busy_is_never_killed"),
)

PROCESS_TESTS = tuple(
    f"tests/integration/test_{name}.py"
    for name in (
        "process_sampler",
        "process_stat",
        "pid_sequence",
        "netlink",
        "exit_records",
        "exit_fallbacks",
        "tcp_bytes",
        "hidden_processes",
        "hostile_processes",
    )
)

SOURCE_TESTS = ("tests/guest/test_sources.py", "tests/guest/test_ready.py")


def crash_tests() -> tuple[str, ...]:
    """The tests of all crash cases, each once, since one may stand for two cases."""
    return tuple(dict.fromkeys(case.test for case in CRASH_CASES))
