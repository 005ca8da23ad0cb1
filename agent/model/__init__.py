"""The vocabulary of evergauge: PURE, imports neither the operating system nor a socket."""
