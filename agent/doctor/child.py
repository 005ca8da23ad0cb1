"""The daemon's look at the host, in a process of its own: a mount that does not answer holds this process and no other.

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

# What runs it.
CODE = "from agent.doctor.child import main; main()"


def main() -> None:
    """Look and tell."""
    # The supervisor may be killed meanwhile, and then nobody waits.
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    config = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Config)
    findings = examine(config, state_dir=config.of(STATE_DIR), with_packages=False, with_others=False)
    os.write(sys.stdout.fileno(), msgspec.msgpack.encode(findings))


def encode_order(config: Config) -> bytes:
    """What it is given."""
    return msgspec.msgpack.encode(config)


def decode_findings(answer: bytes | None) -> list[Finding] | None:
    """What it found; None when it did not come to an end."""
    try:
        return None if answer is None else msgspec.msgpack.decode(answer, type=list[Finding])
    except msgspec.DecodeError:
        return None
