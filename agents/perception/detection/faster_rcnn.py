"""Faster R-CNN as torchvision builds it, from scratch and over the project's own backbone: an optional extra.

Unlike the project's own detector it knows no objects that are to be ignored: they count as background.
"""

from typing import Any

from torch import Tensor

from agents.perception.detection.detector import LEAST_SCORE, MOST_DETECTIONS
from agents.perception.detection.features import Backbone, Detections, Detector, Targets
from navsim.errors import ConfigError

_SIZES = (6, 11, 20, 38)  # square roots of the anchors' areas [px]
_RATIOS = (0.45, 3.0)  # height over width: cars, people and signs
_HIDDEN = 256
# Of a picture; the library's own numbers are for photographs of ten times as many pixels.
_CONSIDERED, _PROPOSED, _ANCHORS, _REGIONS = 256, 64, 96, 32


def why_no_torchvision() -> str | None:
    """Why torchvision cannot be used here, in one line; None where it can."""
    try:
        import torchvision.models.detection  # noqa: F401
    except (ImportError, OSError, RuntimeError, AttributeError) as error:  # without its operators it fails in odd ways
        return f"torchvision cannot be imported ({' '.join(str(error).split())})"
    return None


class FasterRcnn(Detector):
    """torchvision's model behind the project's interface."""

    def __init__(self, classes: int, height: int, width: int) -> None:
        """Draw the initial weights.

        Args:
            classes: How many there are.
            height: Of the pictures [px].
            width: Of the pictures [px].

        Raises:
            ConfigError: If torchvision cannot be imported.
        """
        super().__init__()
        if (reason := why_no_torchvision()) is not None:
            raise ConfigError(f"detector = 'torchvision': {reason}; pip install -e '.[detection]', or take 'own'")
        from torchvision.models.detection.anchor_utils import AnchorGenerator
        from torchvision.models.detection.faster_rcnn import FasterRCNN, FastRCNNPredictor, TwoMLPHead
        from torchvision.ops import MultiScaleRoIAlign

        self.model: Any = FasterRCNN(
            Backbone(),
            min_size=min(height, width),
            max_size=max(height, width),  # pictures stay as large as they are
            image_mean=[0.0] * 3,
            image_std=[1.0] * 3,
            rpn_anchor_generator=AnchorGenerator((_SIZES,), (_RATIOS,)),
            box_roi_pool=MultiScaleRoIAlign(["0"], output_size=7, sampling_ratio=2),
            box_head=TwoMLPHead(Backbone.out_channels * 7**2, _HIDDEN),
            box_predictor=FastRCNNPredictor(_HIDDEN, 1 + classes),
            rpn_pre_nms_top_n_train=_CONSIDERED,
            rpn_pre_nms_top_n_test=_CONSIDERED,
            rpn_post_nms_top_n_train=_PROPOSED,
            rpn_post_nms_top_n_test=_PROPOSED,
            rpn_batch_size_per_image=_ANCHORS,
            box_batch_size_per_image=_REGIONS,
            box_score_thresh=LEAST_SCORE,
            box_detections_per_img=MOST_DETECTIONS,
        )

    def losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Terms of both stages, see `Detector.losses`."""
        there = targets.classes >= 0
        wanted = [
            {"boxes": boxes[mask], "labels": classes[mask] + 1}
            for boxes, classes, mask in zip(targets.boxes, targets.classes, there, strict=True)
        ]
        terms: dict[str, Tensor] = self.model(list(images), wanted)
        return {name.removeprefix("loss_"): term for name, term in terms.items()}

    def detect(self, images: Tensor) -> list[Detections]:
        """Find objects, see `Detector.detect`."""
        return [Detections(found["boxes"], found["scores"], found["labels"] - 1) for found in self.model(list(images))]
