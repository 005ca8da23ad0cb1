"""The command line of a benchmark of several parts: which of them, how much, and where the samples go."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What one benchmark takes.

    `numbers` are options by field of its dataclass, whose default gives type and value; `quick` are the values of `--quick`.
    """

    program: str
    about: str
    parts: Mapping[str, str]
    numbers: Mapping[str, str]
    quick: Mapping[str, Any]

    def parse(self, arguments: Sequence[str], defaults: type[Any], switches: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
        """The fields that are given; ends the program when they make no sense.

        `defaults` is the dataclass. `switches` by flag: the field that it sets to false, and what that means.
        """
        parser = self._parser(defaults, switches)
        given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
        quick, only = given.pop("quick"), given.pop("only", "")
        if only:
            given["only"] = tuple(only.split(","))
            if unknown := sorted(set(given["only"]) - set(self.parts)):
                parser.error(f"there is no part {', '.join(unknown)}")
        return {**(self.quick if quick else {}), **given}

    def _parser(self, defaults: type[Any], switches: Mapping[str, tuple[str, str]]) -> argparse.ArgumentParser:
        parts = "\n".join(f"  {name:9} {about}" for name, about in self.parts.items())
        parser = argparse.ArgumentParser(
            prog=self.program,
            description=self.about,
            epilog=f"parts:\n{parts}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument("--quick", action="store_true", help="small and short, for a look: no figures to quote")
        parser.add_argument("--only", metavar="PART,…", help="only these parts (see below)")
        parser.add_argument("--json", dest="json_path", metavar="FILE", help="write everything there, every sample included")
        for flag, (field, about) in switches.items():
            parser.add_argument(flag, dest=field, action="store_const", const=False, help=about)
        for field, about in self.numbers.items():
            default = defaults.__dataclass_fields__[field].default
            parser.add_argument(
                f"--{field.replace('_', '-')}", type=type(default), metavar="N", help=f"{about} (default {default})"
            )
        return parser
