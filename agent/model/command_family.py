"""The name by which processes are summed where they have no row of their own. PURE."""


def command_of(comm: str, *, is_kernel_thread: bool) -> str:
    """`comm`, and for kernel threads the family, without CPU, device and number.

    A host has hundreds of `kworker/3:1-events` and `ksoftirqd/7`, whose names say where they run, not what they are.
    """
    if not is_kernel_thread:
        return comm
    family, slash, _ = comm.partition("/")
    return (family if slash else comm.rstrip("0123456789").rstrip("_-")) or comm
