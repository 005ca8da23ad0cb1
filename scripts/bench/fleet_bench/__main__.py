"""One subject after its name."""

import argparse
import sys

from fleet_bench import bytes_sent, outage, returning, scale, silence, spawn

SUBJECTS = {"scale": scale, "silence": silence, "return": returning, "spawn": spawn, "outage": outage, "bytes": bytes_sent}


def main() -> int:
    """Find the subject, run it."""
    parser = argparse.ArgumentParser(prog="scripts/bench/fleet", description=__doc__)
    subjects = parser.add_subparsers(dest="subject", required=True)
    for name, module in SUBJECTS.items():
        one = subjects.add_parser(name, help=module.ABOUT, description=module.ABOUT)
        module.arguments(one)
        one.add_argument("--json", help="write the figures to this file too")
    options = parser.parse_args()
    code: int = SUBJECTS[options.subject].run(options)
    return code


if __name__ == "__main__":
    sys.exit(main())
