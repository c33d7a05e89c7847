"""`python scripts/evaluate.py` is `navsim evaluate`."""

from agents.commands.main import run_named

if __name__ == "__main__":
    run_named("evaluate")
