"""`python scripts/dataset.py` is `navsim dataset`."""

from agents.commands.main import run_named

if __name__ == "__main__":
    run_named("dataset")
