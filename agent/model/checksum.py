"""BLAKE2b, without what comes with it. PURE.

`hashlib.blake2b` is this very function, but importing `hashlib` loads OpenSSL: 1 MiB of memory in every process of
the agent for nothing else.
"""

try:
    from _blake2 import blake2b
except ImportError:
    # An interpreter that is built without the module, or names it otherwise.
    from hashlib import blake2b

__all__ = ["blake2b"]
