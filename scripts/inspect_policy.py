"""`python scripts/inspect_policy.py` is `navsim inspect-policy`."""

from agents.commands.main import run_named

if __name__ == "__main__":
    run_named("inspect-policy")
