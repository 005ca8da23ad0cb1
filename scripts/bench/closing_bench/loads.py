"""The loads: what each one is called, and which processes it is made of."""

from dataclasses import dataclass

Words = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """`steady`: words for `process_bench/load.c`, alive for the window; `churns`: fork loops (name, rate, least, most, kind)."""

    about: str
    steady: tuple[Words, ...] = ()
    churns: tuple[tuple[str, float, int, int, str], ...] = ()
    # Whether it is one of those on which rows and kernel must agree; the others are asked when something is searched for.
    is_judged: bool = True


def _burns(factor: float) -> tuple[tuple[str, float, int, int, str], ...]:
    """Burns of 0.2 to 3 ms, short ones more often: together some 0.7 of a core at 2,000 a second."""
    rates = (
        ("burn-200us", 1300, 200, 200),
        ("burn-500us", 500, 500, 500),
        ("burn-1ms", 140, 1000, 1000),
        ("burn-mix", 60, 200, 3000),
    )
    return tuple((name, rate * factor, least, most, "plain") for name, rate, least, most in rates)


LOADS = {
    "mixed": Load("500 processes: three of four sleep, the others wake ten times a second", (("mixed", 500),)),
    "threads": Load("10 processes of 50 threads, each burns 100 us ten times a second", (("threads", 10, 50, 100),)),
    "spikes": Load("60 processes that sleep and once in 6 s burn 100 ms", (("spikes", 60, 100, 6),)),
    "churn": Load("2,000 new processes a second, burns of 0.2 to 3 ms", churns=_burns(1.0)),
    "growth": Load("8 processes that grow by 50 MiB/s to 60 MiB and give it back", (("grow", 8, 60),)),
    "names": Load("1,000 processes, each under a name of its own, 500 us once a second", (("names", 1000, 500),)),
    "churn5000": Load(
        "5,000 new processes a second, burns of 0.05 ms", churns=(("burn-50us", 5000, 50, 50, "plain"),), is_judged=False
    ),
    "exec": Load(
        "300 processes a second that run another program, burns of 1 ms", churns=(("exec-1ms", 300, 1000, 1000, "exec"),),
        is_judged=False,
    ),
    "orphans": Load(
        "300 processes a second whose parent has ended, burns of 1 ms", churns=(("orphan-1ms", 300, 1000, 1000, "orphan"),),
        is_judged=False,
    ),
    "thread-churn": Load(
        "200 processes a second with four threads, together 2 ms", churns=(("fourfold-2ms", 200, 2000, 2000, "threads"),),
        is_judged=False,
    ),
    "jobs": Load(
        "jobs of half a second, two a second", churns=(("job-500ms", 2, 500_000, 500_000, "plain"),), is_judged=False
    ),
    "idle": Load("nothing but the agent", is_judged=False),
}  # fmt: skip
