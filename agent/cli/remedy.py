"""The remedy that several commands give. PURE."""


def start_remedy(option: str, checkout: str | None) -> str:
    """How to reach an agent: start one, as this installation does, or name the folder of another with `option`."""
    program = "agentd" if checkout is None else "scripts/run"
    return f"start an agent with `{program}`, or name the folder of another with {option} DIR"
