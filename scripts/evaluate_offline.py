"""`python scripts/evaluate_offline.py` is `navsim evaluate-offline`."""

from agents.commands.main import run_named

if __name__ == "__main__":
    run_named("evaluate-offline")
