"""A process that has a number of the test's choice: the kernel gives it, or says that it is taken (clone3(2), `set_tid`).

The way over `ns_last_pid` only names the next number, which another process of the machine may take first and keep; and it makes
the kernel count from there for everybody.
"""

import ctypes
import os
import signal

from harness.waiting import wait_until

_CLONE3 = 435
# The words of `struct clone_args` of Linux 5.5, and the places of three of them.
_WORDS, _EXIT_SIGNAL, _SET_TID, _SET_TID_SIZE = 11, 4, 8, 9


class NumberedProcess:
    """One that sleeps and has the number `pid`, as soon as that is free. Needs root. *Raises:* NotInTime, OSError."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._is_over = False
        wait_until(self._is_started, f"number {pid} is free")

    def kill(self) -> None:
        """End it, and let its number go."""
        if not self._is_over:
            self._is_over = True
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def is_running(self) -> bool:
        """Whether nobody has ended it."""
        self._is_over = self._is_over or os.waitpid(self.pid, os.WNOHANG)[0] != 0
        return not self._is_over

    def _is_started(self) -> bool:
        try:
            _start(self.pid)
        except FileExistsError:
            return False
        return True


def _start(pid: int) -> None:
    wanted = ctypes.c_int(pid)
    arguments = (ctypes.c_uint64 * _WORDS)()
    arguments[_EXIT_SIGNAL] = signal.SIGCHLD
    arguments[_SET_TID], arguments[_SET_TID_SIZE] = ctypes.addressof(wanted), 1
    # PyDLL keeps the interpreter's lock, which the child, a copy of this thread alone, could never get again.
    syscall = ctypes.PyDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    made = syscall(ctypes.c_long(_CLONE3), arguments, ctypes.c_size_t(ctypes.sizeof(arguments)))
    if made == 0:
        try:
            os.execv("/bin/sleep", ["sleep", "600"])
        finally:
            os._exit(127)
    if made < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
