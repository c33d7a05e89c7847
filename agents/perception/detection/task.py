"""Detection as a task of perception: loss, validation, scores under several conditions.

N: pictures, B: pictures of a batch, H and W: height and width [px].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agents.perception.detection.detector import Detector
from agents.perception.detection.features import IGNORED, Detections, Targets
from agents.perception.detection.pictures import (
    BoxedPictures,
    CountedConfig,
    DetectionConfig,
    DetectorName,
    detection_sheet,
    objects_source,
)
from agents.perception.detection.precision import DetectionScores, Ranked, average_precision, match, precisions, ranked
from agents.perception.pictures import predictions
from agents.perception.run import Evaluator, PerceptionTask, condition_label
from agents.perception.training import BatchLosses, NetworkInfo, Objective, Validation
from agents.policies.checkpoint import CheckpointFormat
from navsim.evaluation.statistics.intervals import estimate_text
from navsim.sensing.observation import Image
from navsim.tables import Table, TableSection
from navsim.world.scenery.meshes import ObjectClass

CLASS_NAMES = tuple(ObjectClass)
"""Classes of objects, in order."""
_BATCH = 16


def found_objects(detector: Detector, images: Image, dtype: torch.dtype = torch.float32) -> list[Detections]:
    """Detect the objects in pictures.

    Args:
        detector: In evaluation mode, on any device.
        images: Pictures (N, H, W, 3) uint8.
        dtype: Type of the layers' arithmetic.

    Returns:
        Detections in each picture, on the CPU.
    """
    parts = predictions(detector, images, detector.detect, dtype, torch.float32, _BATCH)
    return [Detections(each.boxes.cpu(), each.scores.cpu(), each.classes.cpu()) for part in parts for each in part]


def rank_found(pictures: BoxedPictures, found: Sequence[Detections], classes: int) -> list[Ranked]:
    """Match detections to objects, class by class.

    An object that is not counted may be of any class: detections on it are left out.
    """
    names, towns = np.unique(pictures.towns, return_inverse=True)
    boxes, kinds = pictures.labels.boxes.numpy().astype(float), pictures.labels.classes.numpy()
    ranks = []
    for number in range(classes):
        matched, counts = [], []
        for place, each in enumerate(found):
            own = (each.classes == number).numpy()
            there = (kinds[place] == number) | (kinds[place] == IGNORED)
            counted = kinds[place][there] >= 0
            scores = each.scores.numpy()[own].astype(float)
            matched.append(match(each.boxes.numpy()[own].astype(float), scores, boxes[place][there], counted))
            counts.append(int(counted.sum()))
        ranks.append(ranked(matched, towns.astype(np.intp), np.array(counts, np.intp), len(names)))
    return ranks


def score_pictures(pictures: BoxedPictures, found: list[Detections], rng: np.random.Generator) -> DetectionScores:
    """Score the detections in pictures; `rng` draws towns for the intervals."""
    each, mean = precisions(rank_found(pictures, found, len(CLASS_NAMES)), rng)
    classes = {str(name): part for name, part in zip(CLASS_NAMES, each, strict=True)}
    return DetectionScores(len(pictures), len(np.unique(pictures.towns)), classes, mean)


@dataclass(frozen=True, kw_only=True)
class DetectionInfo(NetworkInfo):
    """Header of a detector's checkpoint."""

    detector: DetectorName
    """Architecture of the network."""


def build_detector(classes: int, seed: int) -> Detector:
    """Build a detector with weights drawn from `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        detector = Detector(classes)
    detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    return detector


def _build(info: DetectionInfo, seed: int) -> Detector:
    return build_detector(len(info.class_names), seed)


DETECTORS = CheckpointFormat("navsim-detection", 1, DetectionInfo, _build)
"""Checkpoints of detectors."""


def detection_objective(config: DetectionConfig) -> Objective[Targets, Detector]:
    """Return network, loss and score of a detector."""
    return Objective(
        networks=DETECTORS,
        info=DetectionInfo(class_names=CLASS_NAMES, detector=config.detector),
        losses=box_losses,
        validate=_validate,
        score_key=lambda row: float(row["mean_ap50"]),
        score_name="AP50",
        float_pictures=True,
    )


def box_losses(pictures: BoxedPictures, device: torch.device) -> BatchLosses[Detector]:
    """Return the detector's loss on batches of pictures."""
    targets, width = pictures.labels.to(device), pictures.images.shape[2]

    def losses(network: Detector, images: Tensor, index: Tensor, turned: Tensor) -> dict[str, Tensor]:
        return network.losses(images, mirrored(targets[index], turned, width))

    return losses


def mirrored(targets: Targets, chosen: Tensor, width: int) -> Targets:
    """Mirror the boxes of the chosen pictures (B,) left and right; pictures are `width` pixels wide."""
    x0, y0, x1, y1 = targets.boxes.unbind(dim=-1)
    turned = torch.stack([width - x1, y0, width - x0, y1], dim=-1)
    return Targets(torch.where(chosen[:, None, None], turned, targets.boxes), targets.classes)


def _validate(detector: Detector, pictures: BoxedPictures, dtype: torch.dtype) -> Validation:
    """Return AP50 on pictures of other towns, for each class with objects."""
    ranks = rank_found(pictures, found_objects(detector, pictures.images, dtype), len(CLASS_NAMES))
    scores = {name: float(average_precision(each)[0]) for name, each in zip(CLASS_NAMES, ranks, strict=True)}
    ap50 = {str(name): score for name, score in scores.items() if not np.isnan(score)}
    mean = float(np.mean([*ap50.values()])) if ap50 else 0.0
    return Validation({"ap50": ap50, "mean_ap50": mean}, {"validation_ap50": ap50})


def score_table(scores: Mapping[str, DetectionScores]) -> Table:
    """Build a table with one row per class and one for the mean, for each of at least one condition."""
    first = next(iter(scores.values()))
    sections = []
    for condition, found in scores.items():
        scored = [*found.classes.items(), ("mean", found.mean)]
        cells = [
            [name, str(each.objects), estimate_text(each.ap50, 2), estimate_text(each.ap, 2)] for name, each in scored
        ]
        rows = [["" if index else condition_label(condition), *row] for index, row in enumerate(cells)]
        sections.append(TableSection(rows))
    title = f"Objects found in {first.pictures} pictures of {first.towns} held-out towns"
    headers = ("condition", "class", "objects", "AP50", "AP50:95")
    return Table(headers, sections=sections, title=title, text_columns=2)


def detection_task(config: DetectionConfig) -> PerceptionTask[Targets, Detector, list[Detections], DetectionScores]:
    """Return the task of detecting cars, people and signs."""
    evaluator = Evaluator(
        predict=found_objects,
        score=score_pictures,
        kind=DetectionScores,
        headline=_headline,
        sheet=detection_sheet,
        table=score_table,
        network_text="A two-stage detector",
        notes=_notes(config.counted),
    )
    return PerceptionTask(
        config, config.validate_every, objects_source(config.counted), detection_objective(config), evaluator
    )


def _headline(scores: DetectionScores) -> str:
    return f"mean AP50 {0.0 if scores.mean.ap50 is None else scores.mean.ap50.value:.3f}"


def _notes(counted: CountedConfig) -> str:
    return (
        f"Counted are objects of which at least {counted.min_visible:.0%} is visible, in a box at least "
        f"{counted.min_height} px high. AP50 is average precision at an overlap of 0.5, AP50:95 its mean over 0.5 to "
        "0.95; in brackets 95% intervals of draws of towns."
    )
