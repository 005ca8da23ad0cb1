"""Prints the files, one a line: scripts/test --portable hands them to pytest."""

from portable_tests.selection import portable_tests

for path in portable_tests():
    print(path)
