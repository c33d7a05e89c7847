"""Watch drivers in a window, drive oneself, replay recorded drives: `python scripts/watch.py --driver expert`."""

from navsim.startup import check_libraries, run_script

check_libraries()

from collections.abc import Sequence

from rich.console import Console

from agents.entrants import resolve
from agents.evaluating import EvaluationSettings
from agents.watching import WatchSettings
from navsim.config import parse_config
from navsim.errors import DisplayError
from navsim.evaluation.entrants import Entrant, constant_entrant, expert_entrant, keyboard_entrant
from navsim.evaluation.replay import read_recording
from navsim.evaluation.watching import film, film_replay, watch_choices, watch_replay
from navsim.recording.by_hand import KEYBOARD
from navsim.world.display import require_display


def main() -> None:
    """Open the window, or write a film."""
    config = parse_config(WatchSettings, "Watch drivers in a window, drive oneself, replay recorded drives.")
    console = Console()

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    if not config.headless:
        _require_display()
    if config.replay is not None:
        recording = read_recording(config.replay)
        (film_replay if config.headless else watch_replay)(config, recording, say)
        return
    entrants = choose(config)
    if config.headless:
        film(config, entrants, say)
    else:
        watch_choices(config, entrants, say)


def choose(config: WatchSettings) -> Sequence[Entrant]:
    """The drivers that were asked for, in their order, then the built-in ones that were not.

    Raises:
        ConfigError: If a word is none of a driver.
        CheckpointError: If a checkpoint is missing, damaged or made for other cameras or another map.
        DriverError: If anyone's driver cannot be made.
    """
    simulation = config.simulation
    words = tuple(word for word in config.driver if word != KEYBOARD)
    asked = EvaluationSettings(
        driver=words or ("expert",),
        policy=config.policy,
        blind=config.blind,
        simulation=simulation,
        acting=config.acting,
    )
    found = list(resolve(asked)) if words else []
    if KEYBOARD in config.driver:
        found.insert(config.driver.index(KEYBOARD), keyboard_entrant(simulation))
    names = {entrant.name for entrant in found}
    built_in = (expert_entrant(simulation), constant_entrant(), keyboard_entrant(simulation))
    return (*found, *(entrant for entrant in built_in if entrant.name not in names))


def _require_display() -> None:
    """Check for a display before anything is loaded.

    Raises:
        DisplayError: If there is none, saying what can be done without.
    """
    try:
        require_display()
    except DisplayError as error:
        reason = str(error).split("; run without")[0]
        raise DisplayError(f"{reason}; give --headless --out drive.mp4 for a film instead") from None


if __name__ == "__main__":
    run_script(main)
