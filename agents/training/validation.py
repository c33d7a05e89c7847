"""Pictures for TensorBoard: what the policy sees and predicts on frames it was not trained on.

What comes of an epoch: scores on frames of other towns, drives there, and what TensorBoard is shown of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch

from agents.drivers.policy_driver import decide
from agents.interpretability.layers import channel_picture, convolution_outputs
from agents.policies.checkpoint import save_checkpoint
from agents.policies.networks.observation_batch import scale_observations
from agents.policies.policy import Policy
from agents.scoring.calibration import SampleScores, Scores, join, score_samples
from agents.scoring.report import figure_pixels, plot_calibration
from agents.training.augmentation import NoisyCameras
from agents.training.closed_loop import ClosedLoop, DriveScores
from agents.training.dataset import Samples, TrainingData
from agents.training.logger import TrainingLogger
from agents.training.runtime import StopRequest
from agents.training.trainer import Trainer
from navsim.drivers.protocol import Decision
from navsim.progress import Advance
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.visualization.canvas import ROUTE, Rectangle, blank, enlarged, written
from navsim.visualization.steering_plots import draw_curve, draw_fan

_HEIGHT = 192  # of a row [px]
_CURVE_WIDTH = 360  # of the density's curve [px]
_GAP = 6  # between pictures [px]


def spread_frames(labels: torch.Tensor, count: int) -> torch.Tensor:
    """Indices (up to `count`,) of frames whose labels are spread from the sharpest right to the sharpest left turn."""
    order = labels.argsort()
    return order[torch.linspace(0, len(order) - 1, min(count, len(order)), device=order.device).round().long()]


def draw_predictions(policy: Policy, samples: Samples, cameras: Sequence[Camera], count: int) -> Image:
    """Draw the predicted fans on up to `count` frames, one below the other, as (H, W, 3) uint8 RGB."""
    chosen = samples[spread_frames(samples.labels, count)]
    senses, limit = chosen.senses, policy.config.max_curvature
    frames = zip(
        senses.images.cpu().numpy(),
        senses.road_map.cpu().numpy(),
        senses.route_map.cpu().numpy(),
        decide(policy, senses),
        chosen.labels.tolist(),
        strict=True,
    )
    rows = []
    for images, road_map, route_map, decision, label in frames:
        fans = [_camera_picture(image, camera, decision, label) for image, camera in zip(images, cameras, strict=True)]
        rows.append(_joined([*fans, _map_picture(road_map, route_map), _curve_picture(decision, label, limit)]))
    return np.concatenate(rows)


def _camera_picture(image: Image, camera: Camera, decision: Decision, label: float) -> Image:
    """A camera's image, enlarged, with the predicted fan, the mode and the expert's label."""
    width = round(camera.width * _HEIGHT / camera.height)
    larger = replace(camera, width=width, height=_HEIGHT)
    return draw_fan(enlarged(image, width, _HEIGHT, smooth=True), larger, decision, label)


def _map_picture(road_map: Image, route_map: Image) -> Image:
    """Both maps as one picture, the route in red as in the source."""
    share = route_map[..., None] / 255
    both = road_map[..., None] * (1 - share) + np.array(ROUTE) * share
    return enlarged(both.astype(np.uint8), _HEIGHT, _HEIGHT, smooth=False)


def _curve_picture(decision: Decision, label: float, limit: float) -> Image:
    """The density over curvature."""
    canvas = blank(_CURVE_WIDTH, _HEIGHT)
    return written(canvas, draw_curve(canvas, Rectangle(0, 0, _CURVE_WIDTH, _HEIGHT), decision, label, limit))


def _joined(pictures: Sequence[Image]) -> Image:
    """Pictures of one height side by side, with gaps to the right and below."""
    framed = [cv2.copyMakeBorder(picture, 0, _GAP, 0, _GAP, cv2.BORDER_CONSTANT) for picture in pictures]
    return np.asarray(cv2.hconcat(framed), np.uint8)


_BATCH = 512
_NOISE_SEED = 0  # the cameras' noise is the same in all validations


class Validator:
    """Holds the validation frames and the worlds to drive in."""

    def __init__(self, data: TrainingData, device: torch.device, dtype: torch.dtype, course: ClosedLoop) -> None:
        """Copy the frames to the device.

        Args:
            data: The validation frames and the cameras.
            device: Where to predict.
            dtype: Type of the layers' arithmetic.
            course: Where to drive.
        """
        self._frames, self._cameras = data.validation.to(device), data.cameras
        self._noise = NoisyCameras(data.world.camera_noise, device)
        self._device, self._dtype, self._course = device, dtype, course

    def validate(self, policy: Policy) -> SampleScores:
        """Score a policy on each of the validation frames, without augmentation."""
        parts = []
        self._noise.restart(_NOISE_SEED)
        with self._predicting():
            for start in range(0, len(self._frames), _BATCH):
                part = self._frames[slice(start, start + _BATCH)]
                answer = policy.predict(scale_observations(self._noise(part.senses), self._dtype))
                parts.append(score_samples(answer.distribution, part.labels, answer.steering))
        return join(parts)

    def drive(self, trainer: Trainer, stop: StopRequest, advance: Advance) -> DriveScores | None:
        """Let the policy drive; None if `stop` was made before it had.

        It drives by a file written as those that are kept, and read as anybody would.
        """
        routes, candidate = trainer.config.closed_loop.routes, trainer.folder.candidate
        save_checkpoint(candidate, trainer.info, trainer.policy)
        try:
            with trainer.clock.part("driving"):
                return self._course.drive(
                    candidate,
                    stop=lambda: stop.made,
                    tell=lambda driven: advance(0, f"epoch {trainer.epoch + 1}: drove {driven} of {routes} routes"),
                )
        finally:
            candidate.unlink()

    def report(self, logger: TrainingLogger, trainer: Trainer, samples: SampleScores, scores: Scores) -> None:
        """Show TensorBoard the epoch that has just been noted."""
        row, config = trainer.history.epochs[-1], trainer.config
        step = row["step"]
        _report_numbers(logger, row, scores, trainer.parts.shares())
        with self._predicting():
            if config.pictures > 0:
                fans = draw_predictions(trainer.policy, self._frames, self._cameras, config.pictures)
                logger.log_image("validation/fans", fans, step)
                title = f"epoch {row['epoch']}, {len(samples)} validation frames"
                figure = plot_calibration({"validation": samples}, title)
                logger.log_image("validation/calibration", figure_pixels(figure), step)
            if config.activations > 0 and row["epoch"] % config.activations == 0:
                self._report_activations(logger, trainer.policy, step)

    def _report_activations(self, logger: TrainingLogger, policy: Policy, step: int) -> None:
        """Show what the convolutions answer to the frame with the sharpest left turn."""
        frame = self._frames[spread_frames(self._frames.labels, 2)[-1:]]
        for name, output in convolution_outputs(policy, frame.senses).items():
            logger.histogram(f"activations/{name}", output, step)
            logger.log_image(f"activations/{name}", channel_picture(output[0]), step)

    @contextmanager
    def _predicting(self) -> Iterator[None]:
        """Predict without gradients, in the type of the training."""
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._dtype is torch.bfloat16),
        ):
            yield


def _report_numbers(
    logger: TrainingLogger, row: Mapping[str, Any], scores: Scores, shares: Mapping[str, float]
) -> None:
    """Write the curves of an epoch: its record, and the shares of the parts of a step in its time."""
    step = row["step"]
    logger.log_scalars("validation", scores.curves(), step)
    logger.log_scalars("speed", {"images_per_second": row["images_per_second"]}, step)
    logger.log_scalars("speed", {f"share_of_{name}": share for name, share in shares.items()}, step)
    logger.log_scalars("seconds", row["seconds"], step)
    if row["closed_loop"] is not None:
        drives = row["closed_loop"]
        logger.log_scalars("closed_loop", {**drives, "arrived_share": drives["arrived"] / drives["routes"]}, step)
