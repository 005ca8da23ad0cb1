"""Imported once by the fork server: everything that a worker needs, then frozen.

Pages that no collection touches stay shared with every worker; frozen objects are never looked at again by the
collector of a worker. A fork server that is itself a fork has imported all of it before, and frozen it.
"""

import gc
import os
import signal

import workers.registry
import workers.runtime.worker_main
from workers.runtime import process

workers.registry.preload()
# Out of the terminal's process group and session: Ctrl-C is the supervisor's alone to hear.
os.setsid()
process.server_pid = os.getpid()
# The supervisor starts this process with all signals blocked; of them it needs to hear of its children's ends.
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
if not gc.get_freeze_count():
    # A collection writes to every object: it would copy all pages that a forked server shares.
    gc.collect()
gc.freeze()
process.set_name("fork-server")
