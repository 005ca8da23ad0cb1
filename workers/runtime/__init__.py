"""What every worker process shares: its main loop and its ends of the sockets."""
