"""The pictures of a run: curves for each case, and a film of one drive."""

from collections.abc import Mapping

from agents.localization.cases import Case, Method
from agents.localization.config import LocalizeConfig
from agents.localization.drives import recorded_drive
from agents.localization.pictures import MAP_PLACE, Chart, compose_picture, plot_curves, plot_towns
from agents.localization.running import Tracks, drives_folder, localise_drive, make_bench, open_policy
from agents.localization.track import Moment, Track, TrackLog
from navsim.evaluation.reports.plots import save_figure
from navsim.sensing.roadmap import rasterise_roads
from navsim.simulation.scenario import Scenario
from navsim.simulation.town_map import attribution_of
from navsim.visualization.video import GifWriter, Mp4Writer

FRAMES_PER_SECOND = 10.0
"""Of films: an update takes about 0.3 s of the drive, so that they run three times as fast."""
_PREFERRED: tuple[Method, ...] = (
    "network_roads",
    "network",
    "soft_roads",
    "soft",
    "roads",
    "odometry",
    "gps",
    "uniform",
)


def write_gallery(config: LocalizeConfig, tracks: Mapping[Scenario, Tracks]) -> None:
    """Write `curves-CASE.png` for each case and, if wanted, `localised.mp4`, `localised.gif` and `regions.png`.

    Raises:
        StorageError: If they cannot be written.
    """
    for case in config.cases:
        methods = [method for method in config.methods if config.applies(case, method)]
        chosen: dict[str, list[Track]] = {
            method: [found[case.name][method] for found in tracks.values()] for method in methods
        }
        title = f"{config.title}: {case.name}, {len(tracks)} drives, median and quartiles"
        save_figure(plot_curves(chosen, title), config.out / f"curves-{case.name}.png")
    if config.film:
        film_drive(config, *to_film(config, tracks))


def to_film(config: LocalizeConfig, tracks: Mapping[Scenario, Tracks]) -> tuple[Scenario, Case, Method]:
    """The drive most worth watching: without a prior if there is such a case, found, and late rather than early."""
    case = next((case for case in config.cases if case.gps_sigma is None), config.cases[-1])
    method = next(name for name in _PREFERRED if name in config.methods and config.applies(case, name))

    def worth(track: Track) -> tuple[bool, int]:
        return track.found_at is not None, track.found_at or 0

    best = max(tracks, key=lambda scenario: worth(tracks[scenario][case.name][method]))
    return best, case, method


def film_drive(config: LocalizeConfig, scenario: Scenario, case: Case, method: Method) -> None:
    """Localise one drive once more, as it was localised before, and film the belief."""
    bench = make_bench(config, open_policy(config.checkpoint), scenario.town)
    episode = recorded_drive(drives_folder(config), scenario, bench.simulation)
    credit = attribution_of(scenario.town)
    chart = Chart(rasterise_roads(bench.network, bench.simulation.map), MAP_PLACE, credit)
    gif, title = (
        GifWriter(config.out / "localised.gif", FRAMES_PER_SECOND),
        f"{method}, case {case.name}: {scenario.name}",
    )
    log, last = TrackLog(), list[Moment]()
    with Mp4Writer(config.out / "localised.mp4", FRAMES_PER_SECOND) as mp4:

        def show(moment: Moment) -> None:
            log.add(moment)
            picture = compose_picture(title, chart, moment, log.track(0), episode.images[moment.index, 0])
            mp4.add(picture)
            gif.add(picture)
            last[:] = [moment]

        localise_drive(config, bench, episode, case, method, show)
    gif.save()
    end = last[0]
    words = f"{method}, case {case.name}, at the end: entropy {end.posterior.entropy:.1f} nats\n{credit}".strip()
    save_figure(plot_towns(bench.network, end.posterior, end.truth, words), config.out / "regions.png")
