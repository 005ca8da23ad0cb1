"""What tests without the project's conftest need: no deadlines, as everywhere. pytest loads it with -p."""

import hypothesis

hypothesis.settings.register_profile("portable", deadline=None, print_blob=True)
hypothesis.settings.load_profile("portable")
