"""Gives birth to a process inside its cgroup: not one instruction of the command, nor any child of it, runs outside.

clone3(2) puts the new process into the cgroup before it runs. Where the kernel or a filter of system calls refuses that, the
process is forked, and joins by itself before anything else (the stub). Either way it waits at a gate until the keeper has its
number on record; only then does it become the command. If the keeper dies before that, the process ends too.

Only a process with a single thread may do this: what a lock held by another thread protects would stay locked in the child.
"""

import ctypes
import os
import pwd
import resource
import signal
from contextlib import suppress
from errno import EACCES, EBUSY, ENOENT, ENOSYS, ENOTDIR, EOPNOTSUPP, EPERM
from typing import NoReturn

from msgspec import Struct

from workers.keeper.birth_failure import BirthStage, message
from workers.keeper.protocol import Birth

# One number on every architecture but alpha. *Source:* asm-generic/unistd.h, linux/sched.h.
SYS_CLONE3 = 435
_MACHINES = frozenset({"x86_64", "aarch64", "riscv64", "ppc64le", "s390x"})
CLONE_PIDFD = 0x1000
CLONE_INTO_CGROUP = 0x2_0000_0000
# By these the kernel says that this way is closed: before 5.7 or filtered, a threaded cgroup, an inner cgroup, no permission for
# the common ancestor (clone(2), cgroups(7)); EPERM is an older filter of a container.
_CLOSED = (ENOSYS, EOPNOTSUPP, EBUSY, EACCES, EPERM)
# What the kernel itself starts with: programs that use select(2) break above it.
_OPEN_FILES = 1024
# PyDLL keeps the interpreter's lock, as the child needs it.
_LIBC = ctypes.PyDLL(None, use_errno=True)


class _CloneArguments(ctypes.Structure):
    """struct clone_args, second version (88 bytes)."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    )


class BirthOrder(Struct, frozen=True):
    """What the new process shall become. `may_clone`: not into version 1. *Absent:* `cgroup` None: it stays in the keeper's."""

    argv: tuple[str, ...]
    env: dict[str, str]
    folder: str
    user: str
    output: int
    cgroup: int | None
    may_clone: bool = True


class Newborn(Struct, frozen=True):
    """A process that waits at its gate. `gate`: write a byte to open it; `said`: its end is the start of the command."""

    pid: int
    pidfd: int
    gate: int
    said: int
    birth: Birth


def give_birth(order: BirthOrder) -> Newborn:
    """A new process at its gate. *Raises:* OSError, with nothing left behind."""
    gate_read, gate_write = os.pipe2(os.O_CLOEXEC)
    try:
        said_read, said_write = os.pipe2(os.O_CLOEXEC)
    except OSError:
        os.close(gate_read)
        os.close(gate_write)
        raise
    held = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid, pidfd, birth = _split(order)
        if pid == 0:
            os.close(gate_write)
            _become(order, birth, gate_read, said_write)
    except OSError:
        os.close(gate_write)
        os.close(said_read)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        os.close(gate_read)
        os.close(said_write)
    return Newborn(pid, pidfd, gate_write, said_read, birth)


def _split(order: BirthOrder) -> tuple[int, int, Birth]:
    """In the keeper: pid and pidfd of the new process. In that one: 0."""
    if order.cgroup is not None and order.may_clone and os.uname().machine in _MACHINES:
        try:
            return (*_clone_into(order.cgroup), Birth.CLONE)
        except OSError as cause:
            if cause.errno not in _CLOSED:
                raise
    birth = Birth.NO_CGROUP if order.cgroup is None else Birth.STUB
    pid = os.fork()
    if pid == 0:
        return 0, -1, birth
    try:
        return pid, os.pidfd_open(pid), birth
    except OSError:
        # No descriptor left. It still waits at its gate, and is our child: the number is its own.
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _clone_into(cgroup: int) -> tuple[int, int]:
    pidfd = ctypes.c_int(-1)
    arguments = _CloneArguments(
        flags=CLONE_INTO_CGROUP | CLONE_PIDFD, pidfd=ctypes.addressof(pidfd), exit_signal=signal.SIGCHLD, cgroup=cgroup
    )
    pid = _LIBC.syscall(ctypes.c_long(SYS_CLONE3), ctypes.byref(arguments), ctypes.c_size_t(ctypes.sizeof(arguments)))
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "clone3")
    return pid, pidfd.value


def _become(order: BirthOrder, birth: Birth, gate: int, said: int) -> NoReturn:
    """In the new process. Whatever goes wrong is said, and ends it: it never returns into the keeper's code."""
    stage = BirthStage.JOIN
    try:
        if birth is Birth.STUB and order.cgroup is not None:
            # The first thing of all.
            _write("cgroup.procs", "0", folder=order.cgroup)
        if os.read(gate, 1):
            stage = BirthStage.PREPARE
            _prepare(order.output)
            stage = BirthStage.USER
            home = _change_user(order.user)
            stage = BirthStage.FOLDER
            os.chdir(order.folder)
            stage = BirthStage.COMMAND
            _execute(order.argv, {**home, **order.env})
    except OSError as cause:
        os.write(said, message(stage, cause.errno or 0))
    except BaseException:  # noqa: BLE001  the broad handler of this process, which must not go on as a second keeper
        os.write(said, message(stage, 0))
    finally:
        os._exit(127)


def _prepare(output: int) -> None:
    os.setsid()
    for each in signal.valid_signals():
        # Those that cannot be set, and those that the C library keeps for itself.
        with suppress(OSError, ValueError):
            signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    with suppress(OSError):
        # An inherited -1000 would make its memory limit kill anybody else but it.
        _write("/proc/self/oom_score_adj", "0")
    with suppress(OSError, ValueError):
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES if hard == -1 else min(_OPEN_FILES, hard), hard))
    os.umask(0o022)
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    # Everything else of the keeper is closed by exec (O_CLOEXEC).
    for number, descriptor in enumerate((nowhere, output, output)):
        os.dup2(descriptor, number)


def _change_user(user: str) -> dict[str, str]:
    """The variables that say who it is. Without a user it stays the keeper's.

    *Raises:* OSError; KeyError where there is no such user.
    """
    if not user:
        try:
            return _variables(pwd.getpwuid(os.geteuid()))
        except KeyError:
            # A container whose user has no name.
            return {"HOME": "/"}
    entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    if entry.pw_uid != os.geteuid() or entry.pw_uid == 0:
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    return _variables(entry)


def _variables(entry: pwd.struct_passwd) -> dict[str, str]:
    return {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}


def _execute(argv: tuple[str, ...], env: dict[str, str]) -> None:
    """*Raises:* OSError: with the reason of a file that is there, before the absence of others."""
    program = argv[0]
    if "/" in program:
        os.execve(program, argv, env)
    refusal: OSError | None = None
    for folder in env.get("PATH", "").split(":"):
        try:
            os.execve(f"{folder or '.'}/{program}", argv, env)
        except OSError as cause:
            if cause.errno not in (ENOENT, ENOTDIR):
                refusal = refusal or cause
    raise refusal or OSError(ENOENT, os.strerror(ENOENT), program)


def _write(path: str, text: str, folder: int | None = None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
