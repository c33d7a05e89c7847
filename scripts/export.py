"""Export a policy for use elsewhere: `python scripts/export.py --checkpoint FILE --out FOLDER`."""

from navsim.cli import check_libraries, run_script

check_libraries()

from rich.console import Console
from rich.table import Table

from agents.export.bundle import ExportConfig, export
from navsim.config import parse_config


def main() -> None:
    """Export, then say what was written."""
    config = parse_config(ExportConfig, "Export a policy as ONNX, with its weights alone and a card.")
    contents = export(config)
    table = Table("file", "size", title=str(config.out), title_justify="left")
    for path in sorted(config.out.iterdir()):
        table.add_row(path.name, f"{path.stat().st_size / 1e6:.2f} MB")
    console = Console()
    console.print(table)
    words = f"the ONNX file answers as the checkpoint does, within {contents.difference:.1g}"
    console.print(words, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    run_script(main)
