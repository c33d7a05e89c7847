"""`python scripts/train.py` is `navsim train`."""

from agents.commands.main import run_named

if __name__ == "__main__":
    run_named("train")
