"""Export a policy for use elsewhere: `python scripts/export.py --checkpoint FILE --out FOLDER`."""

from navsim.cli import check_libraries, run_script

check_libraries()

from rich.console import Console

from agents.export.bundle import ExportConfig, export
from navsim.config import parse_config
from navsim.tables import Table


def main() -> None:
    """Export, then say what was written."""
    config = parse_config(ExportConfig, "Export a policy as ONNX, with its weights alone and a card.")
    contents = export(config)
    rows = [(path.name, f"{path.stat().st_size / 1e6:.2f} MB") for path in sorted(config.out.iterdir())]
    console = Console()
    console.print(Table(("file", "size"), rows, title=str(config.out)).rich())
    words = f"the ONNX file answers as the checkpoint does, within {contents.difference:.1g}"
    console.print(words, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    run_script(main)
