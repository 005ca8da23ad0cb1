"""Examines the host in a child process of the daemon, so that a mount that never answers blocks only this child.

Reads the configuration from standard input and writes the findings to standard output, both as msgpack.
"""

import os
import signal
import sys

import msgspec

from agent.config import STATE_DIR, Config
from agent.doctor import examine
from agent.doctor.finding import Finding
from agent.prctl import PR_SET_PDEATHSIG, prctl

# What the daemon gives to `python -c`.
CODE = "from agent.doctor.child import main; main()"


def main() -> None:
    """Examines the host and writes the findings.

    *Raises:* msgspec.DecodeError for an input that `encode_order` did not write; OSError.
    """
    # If the supervisor is killed, nobody waits for the findings.
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    config = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Config)
    findings = examine(config, state_dir=config.of(STATE_DIR), with_packages=False, with_others=False)
    os.write(sys.stdout.fileno(), msgspec.msgpack.encode(findings))


def encode_order(config: Config) -> bytes:
    """The child's standard input."""
    return msgspec.msgpack.encode(config)


def decode_findings(answer: bytes | None) -> list[Finding] | None:
    """The findings in the child's standard output. *Absent:* None when the child did not finish, or wrote something else."""
    try:
        return None if answer is None else msgspec.msgpack.decode(answer, type=list[Finding])
    except msgspec.DecodeError:
        return None
