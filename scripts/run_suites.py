"""`python scripts/run_suites.py` is `navsim run-suites`."""

from agents.commands.main import run_named

if __name__ == "__main__":
    run_named("run-suites")
