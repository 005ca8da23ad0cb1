"""Validators: each judges one property from gathered evidence, within the limits that a scenario gives. They touch nothing."""
