"""`python scripts/run_study.py` is `navsim run-study`."""

from agents.commands.main import run_named

if __name__ == "__main__":
    run_named("run-study")
