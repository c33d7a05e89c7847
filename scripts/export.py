"""`python scripts/export.py` is `navsim export`."""

from agents.commands.main import run_named

if __name__ == "__main__":
    run_named("export")
