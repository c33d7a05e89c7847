"""`python scripts/watch.py` is `navsim watch`."""

from agents.commands.main import run_named

if __name__ == "__main__":
    run_named("watch")
