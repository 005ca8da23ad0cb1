"""agentctl in the process of the test, over one folder of state and sockets."""

import io
from pathlib import Path

from agent.cli.program import run


def agentctl_here(folder: Path, command: str, *words: str) -> tuple[int, str, str]:
    """The exit code, and what it wrote to standard output and standard error. Folders named in `words` come last, and count."""
    output, warnings = io.StringIO(), io.StringIO()
    code = run([command, "--state-dir", str(folder), "--runtime-dir", str(folder), *words], {}, output, warnings)
    return code, output.getvalue(), warnings.getvalue()
