"""`python scripts/demo.py` is `navsim demo`."""

from agents.commands.main import run_named

if __name__ == "__main__":
    run_named("demo")
