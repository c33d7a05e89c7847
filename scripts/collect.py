"""`python scripts/collect.py` is `navsim collect`."""

from agents.commands.main import run_named

if __name__ == "__main__":
    run_named("collect")
