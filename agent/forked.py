"""How a fork of this process leaves what its parent was doing, and goes on as another program would."""

import os
import signal
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import NoReturn


class Forked(BaseException):
    """Raised in a new fork to leave the frames of its parent, which would stand in all of its stacks. Its end is `go_on`.

    `code` is what it does, with the three standard streams and `kept` as its only descriptors. What the frames close on the way are
    copies of the parent's; those that are kept are held by numbers of their own until then.
    """

    def __init__(self, code: str, kept: Sequence[int]) -> None:
        super().__init__("a fork goes on elsewhere")
        self._code = code
        self._held = {descriptor: os.dup(descriptor) for descriptor in kept}

    def go_on(self) -> NoReturn:
        """Do it, as a new interpreter would that was started with all signals blocked, and end."""
        exit_code = 1
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
            _close_all_but([0, 1, 2, *self._held.values()])
            for descriptor, held in self._held.items():
                os.dup2(held, descriptor, inheritable=False)
            _close_all_but([0, 1, 2, *self._held])
            exec(self._code, {})
            exit_code = 0
        except SystemExit:
            # The code's own end.
            exit_code = 0
        except BaseException:  # noqa: BLE001  the one broad handler of this process: report, then end
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(exit_code)


def _close_all_but(kept: Iterable[int]) -> None:
    first = 0
    for descriptor in [*sorted(kept), os.sysconf("SC_OPEN_MAX")]:
        # An empty range would be taken for all of them (CPython 3.11: 0, 0).
        if first < descriptor:
            os.closerange(first, descriptor)
        first = descriptor + 1
