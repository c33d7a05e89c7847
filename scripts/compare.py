"""`python scripts/compare.py` is `navsim compare`."""

from agents.commands.main import run_named

if __name__ == "__main__":
    run_named("compare")
