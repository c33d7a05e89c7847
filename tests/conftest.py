"""Settings of all tests."""

from hypothesis import settings

# A deadline would make a busy machine fail a correct program; the same examples every time make failures repeatable.
settings.register_profile("navsim", deadline=None, derandomize=True)
settings.load_profile("navsim")
