"""Look at towns: `python scripts/pictures.py --config configs/pictures/contact-sheet.yaml`."""

from navsim.cli import check_libraries, run_script

check_libraries()

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path

from navsim.config import parse_config
from navsim.sensing.camera import Camera
from navsim.simulation.config import RendererName, make_renderer
from navsim.storage import write_bytes
from navsim.visualization.canvas import png
from navsim.visualization.contact_sheet import Channel, SheetView, contact_sheet


@dataclass(frozen=True)
class PicturesConfig:
    """What to look at."""

    views: tuple[SheetView, ...] = (SheetView(),)
    """Where to look from."""
    camera: Camera = field(default_factory=lambda: Camera("picture", 480, 240, fov_deg=90.0, pitch_deg=-4.0))
    """What looks."""
    columns: int = 3
    """Pictures beside each other."""
    channel: Channel = Channel.COLOUR
    """What is shown: colour, depth or classes."""
    renderer: RendererName = "auto"
    """What draws."""
    out: Path = Path("runs/pictures.png")
    """The picture's file."""


def main() -> None:
    """Draw the views and write them as one PNG."""
    config = parse_config(PicturesConfig, "Draw views of towns as one picture.")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    renderer = make_renderer(config.renderer)
    try:
        sheet = contact_sheet(config.views, config.camera, renderer, config.columns, config.channel)
    finally:
        renderer.close()
    write_bytes(config.out, png(sheet))
    print(f"{len(config.views)} views: {config.out}")


if __name__ == "__main__":
    run_script(main)
