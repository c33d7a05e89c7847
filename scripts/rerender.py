"""`python scripts/rerender.py` is `navsim rerender`."""

from agents.commands.main import run_named

if __name__ == "__main__":
    run_named("rerender")
