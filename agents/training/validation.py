"""Validation of a policy after an epoch: scores on frames of other towns, drives there, pictures for TensorBoard."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import torch

from agents.drivers.policy_driver import decide
from agents.interpretability.layers import channel_picture, convolution_outputs
from agents.policies.networks.observation_batch import scale_observations
from agents.policies.policy import Policy
from agents.scoring.calibration import SampleScores, Scores, join, score, score_samples
from agents.scoring.report import figure_pixels, plot_calibration
from agents.training.augmentation import NoisyCameras
from agents.training.closed_loop import ClosedLoop, DriveScores
from agents.training.config import TrainConfig
from agents.training.dataset import TrainingData
from agents.training.logger import TrainingLogger
from agents.training.optimization import check_finite
from agents.training.samples import Samples
from agents.training.task import EndedEpoch
from navsim.config import to_mapping
from navsim.drivers.protocol import Decision
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.visualization.canvas import ROUTE, Rectangle, blank, enlarged, written
from navsim.visualization.steering_plots import draw_curve, draw_fan

_HEIGHT = 192  # of a row [px]
_CURVE_WIDTH = 360  # of the density's curve [px]
_GAP = 6  # between pictures [px]
_BATCH = 512
_NOISE_SEED = 0  # the cameras' noise is the same in all validations


def spread_frames(labels: torch.Tensor, count: int) -> torch.Tensor:
    """Return up to `count` numbers of frames whose labels spread from the sharpest right to the sharpest left turn."""
    order = labels.argsort()
    return order[torch.linspace(0, len(order) - 1, min(count, len(order)), device=order.device).round().long()]


def draw_predictions(policy: Policy, samples: Samples, cameras: Sequence[Camera], count: int) -> Image:
    """Draw the predicted fans on up to `count` frames, one below the other, as (H, W, 3) uint8 RGB."""
    chosen = samples[spread_frames(samples.labels, count)]
    observations, limit = chosen.observations, policy.config.max_curvature
    frames = zip(
        observations.images.cpu().numpy(),
        observations.road_map.cpu().numpy(),
        observations.route_map.cpu().numpy(),
        decide(policy, observations),
        chosen.labels.tolist(),
        strict=True,
    )
    rows = []
    for images, road_map, route_map, decision, label in frames:
        fans = [_camera_picture(image, camera, decision, label) for image, camera in zip(images, cameras, strict=True)]
        rows.append(_joined([*fans, _map_picture(road_map, route_map), _curve_picture(decision, label, limit)]))
    return np.concatenate(rows)


def _camera_picture(image: Image, camera: Camera, decision: Decision, label: float) -> Image:
    """Draw the predicted fan, the mode and the expert's label on a camera's enlarged image."""
    width = round(camera.width * _HEIGHT / camera.height)
    larger = replace(camera, width=width, height=_HEIGHT)
    return draw_fan(enlarged(image, width, _HEIGHT, smooth=True), larger, decision, label)


def _map_picture(road_map: Image, route_map: Image) -> Image:
    """Draw both maps as one picture, the route in red as in the source."""
    share = route_map[..., None] / 255
    both = road_map[..., None] * (1 - share) + np.array(ROUTE) * share
    return enlarged(both.astype(np.uint8), _HEIGHT, _HEIGHT, smooth=False)


def _curve_picture(decision: Decision, label: float, limit: float) -> Image:
    """Draw the density over curvature."""
    canvas = blank(_CURVE_WIDTH, _HEIGHT)
    return written(canvas, draw_curve(canvas, Rectangle(0, 0, _CURVE_WIDTH, _HEIGHT), decision, label, limit))


def _joined(pictures: Sequence[Image]) -> Image:
    """Place pictures of one height side by side, with gaps to the right and below."""
    framed = [cv2.copyMakeBorder(picture, 0, _GAP, 0, _GAP, cv2.BORDER_CONSTANT) for picture in pictures]
    return np.asarray(cv2.hconcat(framed), np.uint8)


def epoch_record(
    epoch: int,
    step: int,
    scores: Scores,
    losses: Mapping[str, float],
    drives: DriveScores | None = None,
    seconds: Mapping[str, float] = MappingProxyType({}),
    images_per_second: float = 0.0,
) -> dict[str, Any]:
    """Build the record of an epoch for the history.

    Args:
        epoch: Number of the epoch, counted from 1.
        step: Steps taken so far.
        scores: Scores on the validation frames.
        losses: Means of the terms of the training loss, `nll` among them.
        drives: Scores of the drives, if any.
        seconds: Times of training, validation and driving [s].
        images_per_second: Rate of training.
    """
    return {
        "epoch": epoch,
        "step": step,
        "train_nll": losses["nll"],
        "losses": dict(losses),
        "validation": to_mapping(scores),
        "closed_loop": None if drives is None else asdict(drives),
        "images_per_second": round(images_per_second, 1),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }


def score_key(record: Mapping[str, Any]) -> tuple[float, ...]:
    """Return what makes an epoch better than another: arrivals, then the share of the routes driven, then NLL."""
    drives, nll = record["closed_loop"], record["validation"]["nll"]
    return (-1.0, 0.0, -nll) if drives is None else (drives["arrived"], drives["completion"], -nll)


class Validator:
    """Scores a policy after an epoch: on frames of other towns, and by driving there."""

    def __init__(
        self,
        config: TrainConfig,
        data: TrainingData,
        device: torch.device,
        dtype: torch.dtype,
        closed_loop: ClosedLoop | None = None,
    ) -> None:
        """Copy the validation frames to the device.

        Args:
            config: The settings of the run.
            data: The validation frames and the cameras.
            device: Where to predict.
            dtype: Type of the layers' arithmetic.
            closed_loop: Routes to drive; None drives none.
        """
        self._config, self._closed_loop = config, closed_loop
        self._frames, self._cameras = data.validation.to(device), data.cameras
        self._noise = NoisyCameras(data.simulation_config.camera_noise, device)
        self._device, self._dtype = device, dtype

    def validate(self, epoch: EndedEpoch[Policy]) -> dict[str, Any] | None:
        """Score the policy, let it drive where the settings ask for it, and log what was found.

        Returns:
            The epoch's record; None if the drives were stopped.

        Raises:
            ConfigError: If the scores are not finite.
        """
        with epoch.watch.part("validation"):
            samples = self.score_frames(epoch.network)
        scores = score(samples)
        check_finite(scores.nll, epoch.step, self._config.optimizer)
        drives = None
        if self._closed_loop is not None and self._config.closed_loop.due(epoch.number, self._config.epochs):
            drives = self._drive(self._closed_loop, epoch)
            if drives is None:
                return None
        record = epoch_record(epoch.number, epoch.step, scores, epoch.losses, drives, epoch.watch.seconds, epoch.rate)
        self._report(epoch, record, samples, scores)
        return record

    def score_frames(self, policy: Policy) -> SampleScores:
        """Score a policy on each of the validation frames, without augmentation."""
        parts = []
        self._noise.restart(_NOISE_SEED)
        with self._predicting():
            for start in range(0, len(self._frames), _BATCH):
                part = self._frames[slice(start, start + _BATCH)]
                output = policy.predict(scale_observations(self._noise(part.observations), self._dtype))
                parts.append(score_samples(output.distribution, part.labels, output.steering))
        return join(parts)

    def _drive(self, closed_loop: ClosedLoop, epoch: EndedEpoch[Policy]) -> DriveScores | None:
        """Let the policy drive; returns None if a stop was requested before the end.

        The policy is written to a file and loaded from there, like any other policy.
        """
        candidate = epoch.folder.candidate
        epoch.save(candidate)
        routes = self._config.closed_loop.routes
        try:
            with epoch.watch.part("driving"):
                return closed_loop.drive(
                    candidate,
                    stop=epoch.stopped,
                    on_drive=lambda count: epoch.advance(0, f"epoch {epoch.number}: drove {count} of {routes} routes"),
                )
        finally:
            candidate.unlink()

    def _report(
        self, epoch: EndedEpoch[Policy], record: Mapping[str, Any], samples: SampleScores, scores: Scores
    ) -> None:
        """Write the epoch's curves and pictures to TensorBoard."""
        config, logger, step = self._config, epoch.logger, epoch.step
        _log_numbers(logger, record, scores, epoch.shares)
        with self._predicting():
            if config.pictures > 0:
                fans = draw_predictions(epoch.network, self._frames, self._cameras, config.pictures)
                logger.log_image("validation/fans", fans, step)
                title = f"epoch {epoch.number}, {len(samples)} validation frames"
                figure = plot_calibration({"validation": samples}, title)
                logger.log_image("validation/calibration", figure_pixels(figure), step)
            if config.activations > 0 and epoch.number % config.activations == 0:
                self._log_activations(logger, epoch.network, step)

    def _log_activations(self, logger: TrainingLogger, policy: Policy, step: int) -> None:
        """Log the convolutions' outputs for the frame with the sharpest left turn."""
        frame = self._frames[spread_frames(self._frames.labels, 2)[-1:]]
        for name, output in convolution_outputs(policy, frame.observations).items():
            logger.log_histogram(f"activations/{name}", output, step)
            logger.log_image(f"activations/{name}", channel_picture(output[0]), step)

    @contextmanager
    def _predicting(self) -> Iterator[None]:
        """Predict without gradients, in the type of the training."""
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._dtype is torch.bfloat16),
        ):
            yield


def _log_numbers(
    logger: TrainingLogger, record: Mapping[str, Any], scores: Scores, shares: Mapping[str, float]
) -> None:
    """Write the curves of an epoch: its record, and the shares of the parts of a step in its time."""
    step = record["step"]
    logger.log_scalars("validation", scores.curves(), step)
    logger.log_scalars("speed", {"images_per_second": record["images_per_second"]}, step)
    logger.log_scalars("speed", {f"share_of_{name}": share for name, share in shares.items()}, step)
    logger.log_scalars("seconds", record["seconds"], step)
    if record["closed_loop"] is not None:
        drives = record["closed_loop"]
        logger.log_scalars("closed_loop", {**drives, "arrived_share": drives["arrived"] / drives["routes"]}, step)
