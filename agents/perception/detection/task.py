"""Detection as a task of perception."""

from rich.console import Console

from agents.perception.detection.config import CountedConfig, DetectionConfig
from agents.perception.detection.faster_rcnn import why_no_torchvision
from agents.perception.detection.interface import Detections, Detector, Targets
from agents.perception.detection.lesson import detection_lesson
from agents.perception.detection.overlay import detection_sheet
from agents.perception.detection.pictures import objects_source
from agents.perception.detection.precision import DetectionScores
from agents.perception.detection.prediction import found_objects, score_pictures
from agents.perception.detection.report import score_table
from agents.perception.running import Exam, Task, run_task


def run_detection(config: DetectionConfig, console: Console) -> None:
    """Train and judge a detector, see `run_task`.

    torchvision's detector is skipped with one line where torchvision cannot be imported.
    """
    if config.detector == "torchvision" and (reason := why_no_torchvision()) is not None:
        words = f"skipped: {reason}; pip install -e '.[detection]', or --detector own, which needs nothing more"
        console.print(words, highlight=False, markup=False, soft_wrap=True)
    else:
        run_task(detection_task(config), console)


def detection_task(config: DetectionConfig) -> Task[Targets, Detector, list[Detections], DetectionScores]:
    """Find cars, people and signs."""
    exam = Exam(
        answer=found_objects,
        score=score_pictures,
        kind=DetectionScores,
        headline=_headline,
        sheet=detection_sheet,
        table=score_table,
        learner=f"A two-stage detector ({config.detector})",
        notes=_notes(config.counted),
    )
    return Task(config, config.validate_every, objects_source(config.counted), detection_lesson(config), exam)


def _headline(scores: DetectionScores) -> str:
    return f"mean AP50 {0.0 if scores.mean.ap50 is None else scores.mean.ap50.value:.3f}"


def _notes(counted: CountedConfig) -> str:
    return (
        f"Counted are objects of which at least {counted.least_visible:.0%} is visible, in a box at least "
        f"{counted.least_height} px high. AP50 is average precision at an overlap of 0.5, AP50:95 its mean over 0.5 to "
        "0.95; in brackets 95% intervals of draws of towns."
    )
