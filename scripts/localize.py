"""`python scripts/localize.py` is `navsim localize`."""

from agents.commands.main import run_named

if __name__ == "__main__":
    run_named("localize")
