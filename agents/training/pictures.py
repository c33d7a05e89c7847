"""Pictures for TensorBoard: what the policy sees and predicts on frames it was not trained on."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch

from agents.drivers.decisions import decide
from agents.policies.policy import Policy
from agents.training.dataset import Samples
from navsim.drivers.drivers import Decision
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.visualization.canvas import ROUTE, Box, blank, enlarged, written
from navsim.visualization.steering_fan import draw_fan
from navsim.visualization.steering_plot import draw_curve

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
    return written(canvas, draw_curve(canvas, Box(0, 0, _CURVE_WIDTH, _HEIGHT), decision, label, limit))


def _joined(pictures: Sequence[Image]) -> Image:
    """Pictures of one height side by side, with gaps to the right and below."""
    framed = [cv2.copyMakeBorder(picture, 0, _GAP, 0, _GAP, cv2.BORDER_CONSTANT) for picture in pictures]
    return np.asarray(cv2.hconcat(framed), np.uint8)
