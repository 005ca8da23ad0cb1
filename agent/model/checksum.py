"""BLAKE2b without `hashlib`. PURE.

`hashlib.blake2b` is the same function, but importing `hashlib` loads OpenSSL, which costs 1 MiB of memory in every process of
the agent.
"""

try:
    from _blake2 import blake2b
except ImportError:
    # An interpreter that was built without this module, or with another name for it.
    from hashlib import blake2b

__all__ = ["blake2b"]
