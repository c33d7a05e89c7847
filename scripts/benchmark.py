"""`python scripts/benchmark.py` is `navsim benchmark`."""

from agents.commands.main import run_named

if __name__ == "__main__":
    run_named("benchmark")
