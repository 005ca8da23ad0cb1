"""The disposable processes that do the work."""
