"""Policies: from observations to a distribution over steering."""

WEIGHTS_NAME = "model.safetensors"
"""Name of a policy's weights in the folder of the policy."""
