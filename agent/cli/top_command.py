"""The displayed command of a process: the name of its program first, then its path and arguments. PURE.

The path of a program is often longer than a column, and its end is what tells programs apart. So the name stands first:
`postgres  /usr/lib/postgresql/15/bin/postgres -D /var/lib/…`.
"""

# What runs a script or a module that stands behind it in the command line; versions (`python3.11`) are cut off.
_INTERPRETERS = frozenset(("python", "perl", "ruby", "node", "nodejs", "bash", "sh", "dash", "zsh", "php", "lua", "tclsh", "java"))
# Options of interpreters whose value is what runs.
_NAMES_A_MODULE = ("-m", "-jar")
# Options whose value is the program itself: it has no name.
_HAS_NO_NAME = ("-c", "-e", "-")
# Options that take a value: the word behind them is no script.
_TAKES_A_VALUE = ("-W", "-X", "-cp", "-classpath", "-I", "-r", "--require", "--loader")
# A script that does not come within so many words is not looked for.
_WORDS_MAX = 32


def program_name(comm: str | None, line: str | None) -> str:
    """What a process is called: its script where an interpreter runs one, else its program in full, else the name it gave itself.

    *Absent:* `?` where neither name nor command line is known.
    """
    program = _basename(line.partition(" ")[0]) if line else ""
    if comm is None:
        return program or "?"
    # The kernel keeps 15 bytes of a name. A process or thread that gave itself one (prctl(2), PR_SET_NAME) is called that.
    if not program.startswith(comm) and not _is_interpreter(comm):
        return comm
    script = _script(line or "") if _is_interpreter(program) else ""
    return script or (program if program.startswith(comm) else comm)


def command_of(comm: str | None, line: str | None, *, is_kernel_thread: bool = False) -> str:
    """The name of the program, and its command line behind it where that does not begin with the name.

    A kernel thread has no command line: its name is in brackets, as in ps. *Absent:* of any other process the name stands alone
    where the command line was not read, or is not stored.
    """
    if is_kernel_thread:
        return f"[{comm or '?'}]"
    if line is None:
        return comm or "?"
    name = program_name(comm, line)
    begin = line.removeprefix("-")
    begins_with_name = begin.startswith(name) and not begin[len(name) : len(name) + 1].isalnum()
    return line if begins_with_name else f"{name}  {line}".rstrip()


def _script(line: str) -> str:
    """The script or module that an interpreter's command line names; empty: none."""
    words = line.split(" ", _WORDS_MAX)[1:]
    for place, word in enumerate(words):
        if word in _NAMES_A_MODULE:
            return _basename(words[place + 1]) if place + 1 < len(words) else ""
        if word in _HAS_NO_NAME:
            return ""
        if word and not word.startswith("-") and (place == 0 or words[place - 1] not in _TAKES_A_VALUE):
            # A script that is read from a descriptor has no name.
            return "" if word.startswith("/dev/fd/") else _basename(word)
    return ""


def _is_interpreter(name: str) -> bool:
    return name.rstrip("0123456789.-") in _INTERPRETERS


def _basename(word: str) -> str:
    """The last part of a path. A login shell's argument 0 begins with a dash; some programs write `name:` and a state there."""
    return word.rstrip("/").rpartition("/")[2].removeprefix("-").rstrip(":")
