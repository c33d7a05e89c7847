"""`python scripts/contact_sheet.py` is `navsim contact-sheet`."""

from agents.commands.main import run_named

if __name__ == "__main__":
    run_named("contact-sheet")
