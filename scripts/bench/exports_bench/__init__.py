"""What the exports cost: one module for each subject, named as the subject with `_` for `-`, with a `main`."""
