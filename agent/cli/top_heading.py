"""The first line of every screen of `agentctl top`: host, time, age of the data and why it is old. PURE."""

from agent.cli.render import seconds_of, text_of

# A tick comes every second; what is older than this is no longer live.
LIVE_SECONDS = 5.0


def heading(host: str, at_wall_ns: int, now_wall_ns: int, trouble: str) -> str:
    """The line; `trouble` says what ails the agent, empty: nothing."""
    age_seconds = max(0.0, (now_wall_ns - at_wall_ns) / 1e9)
    age = seconds_of(round(age_seconds, 1))
    why = trouble or ("no new samples" if age_seconds > LIVE_SECONDS else "")
    told = f"{why}: data is {age} old" if why else f"data is {age} old"
    clock = now_wall_ns // 1_000_000_000 % 86_400
    at = f"{clock // 3600:02d}:{clock // 60 % 60:02d}:{clock % 60:02d} UTC"
    return f"{text_of(host)}   {at}   {told}"
