"""Policies: from observations to a distribution over steering."""

from importlib.util import find_spec

WEIGHTS_NAME = "model.safetensors"
"""Name of a policy's weights in the folder of the policy."""


def has_torch() -> bool:
    """Return whether torch is installed; checkpoints need it, exported policies do not."""
    return find_spec("torch") is not None
