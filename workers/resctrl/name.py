"""The directory name of a group, made from the uid of its pod. PURE.

Kubernetes uids are clean and stay readable. Whatever had to be changed gets a digest of the whole uid, so that two uids
never share a directory, neither by what was taken out nor by what was cut off.
"""

import re

from agent.model.checksum import blake2b

PREFIX = "pod_"
# The whole name. Tools print these names in columns, and a DNS label, which many of them were made for, ends here.
NAME_CHARACTERS_MAX = 63
# Longer ones leave too little of the uid to be read.
PREFIX_CHARACTERS_MAX = 32
UNKNOWN = "unknown"
_DIGEST_BYTES = 8
_DIGEST_CHARACTERS = 1 + 2 * _DIGEST_BYTES
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9_-]")
# A clean uid that looks like one with a digest must get a digest of its own, or it could take the name of another.
_LOOKS_DIGESTED = re.compile(r"-[0-9a-f]{16}\Z")
# What follows the prefix in names of pods' uids, those of static pods (a hash) included, and in all names with a digest.
_UNMISTAKABLE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|[A-Za-z0-9_-]*-[0-9a-f]{16}")
# Directories that the kernel makes.
KERNEL_NAMES = frozenset({"info", "mon_data", "mon_groups"})


def checked_prefix(prefix: str) -> str:
    """The prefix itself, when names can be made with it.

    *Raises:* ValueError when it is empty, too long, has other characters than `A-Za-z0-9_-`, or would take what the kernel
    makes for ours.
    """
    if not 0 < len(prefix) <= PREFIX_CHARACTERS_MAX or _NOT_ALLOWED.search(prefix):
        raise ValueError(f"{prefix!r} is no prefix of group names: 1 to {PREFIX_CHARACTERS_MAX} of A-Z a-z 0-9 _ -")
    if any(name.startswith(prefix) for name in KERNEL_NAMES):
        raise ValueError(f"{prefix!r} is no prefix of group names: directories of the kernel begin so")
    return prefix


def group_name(uid: str, prefix: str = PREFIX) -> str:
    """The directory name for a uid: the same for the same uid, never the same for two.

    *Range:* at most 63 characters of `A-Za-z0-9_-`. A short clean uid follows the prefix as it is, the empty one is `unknown`;
    every other is cleaned, cut, and followed by `-` and 16 hexadecimal digits of its digest.
    """
    room = NAME_CHARACTERS_MAX - len(checked_prefix(prefix))
    if not uid:
        return prefix + UNKNOWN
    clean = _NOT_ALLOWED.sub("", uid)
    if clean == uid and len(uid) <= room and uid != UNKNOWN and not _LOOKS_DIGESTED.search(uid):
        return prefix + uid
    # A uid from a foreign program need not be valid text; lone surrogates count like every other character.
    digest = blake2b(uid.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{prefix}{(clean or UNKNOWN)[: room - _DIGEST_CHARACTERS]}-{digest}"


def is_unmistakable(name: str, prefix: str = PREFIX) -> bool:
    """Whether a name is one that `group_name` makes of a pod's uid or with a digest: nobody else's, even where others make groups.

    A short clean uid, such as the name of a shared group, gives a name that anybody may have chosen: False.
    """
    return name.startswith(prefix) and _UNMISTAKABLE.fullmatch(name.removeprefix(prefix)) is not None
