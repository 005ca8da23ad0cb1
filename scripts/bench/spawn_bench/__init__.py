"""How long a process takes to be born in a limited cgroup, and whether any of its children is ever outside."""
