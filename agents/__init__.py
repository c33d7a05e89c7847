"""Drivers that learn, and how they learn."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.policies.checkpoint import load_policy

__all__ = ["load_policy"]


def __getattr__(name: str) -> object:
    """Import a public name; torch is imported with `load_policy`, and not before.

    Raises:
        AttributeError: If the name is not public.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from agents.policies.checkpoint import load_policy

    return load_policy
