"""Segmentation as a task of perception."""

from agents.perception.running import Exam, Task
from agents.perception.segmentation.config import SegmentationConfig
from agents.perception.segmentation.lesson import segmentation_lesson
from agents.perception.segmentation.network import SegmentationNetwork
from agents.perception.segmentation.overlay import overlay_sheet
from agents.perception.segmentation.pictures import CLASSES
from agents.perception.segmentation.prediction import predicted_classes, score_pictures
from agents.perception.segmentation.report import score_table
from agents.perception.segmentation.scores import SegmentationScores
from navsim.sensing.observation import Image

_EXAM = Exam(
    answer=predicted_classes,
    score=score_pictures,
    kind=SegmentationScores,
    headline=lambda scores: f"mean IoU {scores.mean_iou:.3f}",
    sheet=overlay_sheet,
    table=score_table,
    learner="A fully convolutional network",
    notes="The mean is over the classes that are there; intervals are of draws of towns.",
)


def segmentation_task(
    config: SegmentationConfig,
) -> Task[Image, SegmentationNetwork, Image, SegmentationScores]:
    """Learn what each pixel shows."""
    return Task(config, config.every, CLASSES, segmentation_lesson(config), _EXAM)
