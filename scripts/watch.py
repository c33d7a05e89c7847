"""Watch drivers in a window, drive oneself, replay recorded drives: `python scripts/watch.py --driver expert`."""

from navsim.cli import check_libraries, run_script

check_libraries()

from rich.console import Console

from agents.drivers.registry import PolicyWatchConfig, watchable_drivers
from navsim.config import parse_config
from navsim.viewer.replay import read_recording
from navsim.viewer.session import film, film_replay, watch_choices, watch_replay
from navsim.world.bullet import require_display


def main() -> None:
    """Open the window, or write a film."""
    config = parse_config(PolicyWatchConfig, "Watch drivers in a window, drive oneself, replay recorded drives.")
    console = Console()

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    if not config.headless:
        require_display("give --headless --out drive.mp4 for a film instead")
    if config.replay is not None:
        recording = read_recording(config.replay)
        (film_replay if config.headless else watch_replay)(config, recording, say)
        return
    driver_specs = watchable_drivers(config)
    if config.headless:
        film(config, driver_specs, say)
    else:
        watch_choices(config, driver_specs, say)


if __name__ == "__main__":
    run_script(main)
