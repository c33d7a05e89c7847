"""Images, plots and tables of an inspection show its results."""

import cv2
import numpy as np
import pytest
import torch

from agents.interpretability.checks import SHARES, DependenceRow
from agents.interpretability.figures import (
    cameras_picture,
    dependence_figure,
    enlarge,
    left_to_right,
    map_picture,
    png_of,
    regions_figure,
    removal_figure,
)
from agents.interpretability.frames import InspectedFrames, frames_to_show
from agents.interpretability.measurements import RANDOM, RemovalCurves, RemovalRow, SanityRow
from agents.interpretability.page import (
    dependence_table,
    regions_table,
    removal_table,
    sanity_table,
    signed,
)
from agents.interpretability.regions import RegionRow
from agents.policies.description import describe_policy, layer_table
from agents.policies.networks.observation_batch import scale_observations
from navsim.evaluation.statistics.intervals import Estimate
from navsim.sensing.camera import Camera
from navsim.visualization.canvas import overlay_saliency, png
from tests.agents.small_runs import small_policy, small_samples

RIG = (Camera("front", 40, 20), Camera("left", 40, 20, yaw_deg=60.0), Camera("right", 40, 20, yaw_deg=-60.0))
HALF, NOTHING = Estimate(0.5, 0.25, 0.75), Estimate(0.0, 0.0, 0.0)


def test_png_round_trip() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)
    back = cv2.imdecode(np.frombuffer(png(picture), np.uint8), cv2.IMREAD_COLOR)
    assert back is not None
    assert (back[..., ::-1] == picture).all()


def test_images_are_enlarged_by_whole_factors() -> None:
    picture = np.arange(2 * 100 * 3, dtype=np.uint8).reshape(2, 100, 3)
    found = enlarge(picture, 290, smooth=False)
    assert found.shape == (6, 300, 3)
    assert (found[::3, ::3] == picture).all()
    assert enlarge(picture, 10).shape == (2, 100, 3)  # never smaller


def test_cameras_are_ordered_by_their_direction() -> None:
    assert left_to_right(RIG) == [1, 0, 2]
    images = np.zeros((3, 20, 40, 3), np.uint8)
    images[0], images[1], images[2] = 10, 100, 200  # front, left, right
    strip = cameras_picture(images, RIG)
    assert strip.shape == (20 * 6, 3 * 40 * 6 + 2 * 6, 3)  # six times as large, with gaps
    assert [strip[60, x].tolist() for x in (5, 300, 700)] == [[100] * 3, [10] * 3, [200] * 3]
    assert (strip[:, 240:246] == 255).all()


def test_all_cameras_of_a_frame_share_one_colour_scale() -> None:
    images, saliency = np.full((2, 20, 40, 3), 90, np.uint8), np.zeros((2, 20, 40))
    saliency[0], saliency[1] = 1.0, 0.1
    strip = cameras_picture(images, (RIG[1], RIG[2]), saliency)
    left, right = strip[60, 100].astype(int), strip[60, 350].astype(int)
    assert left.sum() > right.sum() + 150
    alone = cameras_picture(images[1:], (RIG[2],), saliency[1:])
    assert (alone[60, 100].astype(int) == left).all()  # the same heat once nothing is hotter


def test_a_map_keeps_its_hard_pixels() -> None:
    patch = np.zeros((20, 20, 3), np.uint8)
    patch[3, 4] = 255
    saliency = np.zeros((20, 20))
    saliency[3, 4] = 1.0
    assert (map_picture(patch)[::12, ::12] == patch).all()
    assert (map_picture(patch, saliency)[::12, ::12] == overlay_saliency(patch, saliency)).all()


def made_up_removal() -> RemovalCurves:
    up = np.linspace(0, 0.8, len(SHARES))
    row = RemovalRow("Grad-CAM", "camera", HALF, HALF, HALF, HALF, HALF, HALF)
    return RemovalCurves([row], {"Grad-CAM": np.stack([up, up[::-1]]), RANDOM: np.stack([up / 2, up[::-1] / 2])})


def test_curves_are_drawn_over_the_shares() -> None:
    removal = made_up_removal()
    deletion, insertion = (removal_figure(removal, "camera", inserted).axes[0] for inserted in (False, True))
    for ax, which in ((deletion, 0), (insertion, 1)):
        lines = {str(line.get_label()): line for line in ax.get_lines()}
        assert set(lines) == {"Grad-CAM", RANDOM}
        assert np.asarray(lines["Grad-CAM"].get_xdata()) == pytest.approx(100 * np.array(SHARES))
        assert np.asarray(lines[RANDOM].get_ydata()) == pytest.approx(removal.curves[RANDOM][which])
    assert deletion.get_xlabel() == "camera images: share removed [%]"
    assert insertion.get_xlabel() == "camera images: share put back [%]"


def region(name: str, density: float, method: str = "Grad-CAM") -> RegionRow:
    near = Estimate(density, density - 0.1, density + 0.1)
    return RegionRow(name, method, 7, 0.125, 0.25, near, Estimate(0.5, 0.4, 0.6), Estimate(1.5, 1.25, 1.75))


def test_regions_are_drawn_with_intervals_and_untrained_values() -> None:
    others = [region("sky", 0.7, "other"), region("lines", 2.5, "other")]
    figure = regions_figure([region("sky", 0.5), region("lines", 2.0), *others])
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["sky", "lines"]
    points = [line for line in ax.get_lines() if line.get_marker() == "o"]
    full = sorted(float(np.asarray(line.get_xdata())[0]) for line in points if line.get_fillstyle() == "full")
    hollow = [float(np.asarray(line.get_xdata())[0]) for line in points if line.get_fillstyle() == "none"]
    assert full == [0.5, 0.7, 2.0, 2.5]
    assert hollow == [0.5] * 4
    assert png_of(figure).startswith(b"\x89PNG")


def test_a_distribution_is_drawn_with_each_input_gone() -> None:
    inputs = scale_observations(small_samples(1).observations, torch.float32)
    figure = dependence_figure(small_policy(), inputs, 0.05, ["front"], "a frame")
    ax = figure.axes[0]
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "everything",
        "without camera",
        "without road map",
        "without route map",
        "without both maps",
        "expert",
    ]
    left, right = ax.get_xlim()
    assert left > right  # left turns on the left
    mass = [np.trapezoid(np.asarray(line.get_ydata()), np.asarray(line.get_xdata())) for line in ax.get_lines()[:4]]
    assert all(0.5 < total <= 1.001 for total in mass)  # densities, some of whose mass lies past the range


def test_numbers_have_their_intervals() -> None:
    assert Estimate(1.2345, -0.5, 2).text(2) == "1.23 (-0.50 to 2.00)"
    assert signed(Estimate(1.2345, -0.5, 2), 1) == "+1.2 (-0.5 to +2.0)"
    assert signed(NOTHING) == "-"
    assert signed(Estimate(0.0, -0.1, 0.1), 1) == "+0.0 (-0.1 to +0.1)"


def test_rows_of_tables() -> None:
    assert removal_table(made_up_removal().rows).rows[0] == (
        "Grad-CAM",
        "camera images",
        "0.500",
        "+0.500 (+0.250 to +0.750)",
        "0.5000",
        "+0.5000 (+0.2500 to +0.7500)",
        "0.500",
        "+0.500 (+0.250 to +0.750)",
    )
    sanity = sanity_table([SanityRow("Grad-CAM", "map", "decision", HALF)])
    assert sanity.rows == [("Grad-CAM", "maps", "the layers after the convolutions", "0.50 (0.25 to 0.75)")]
    parts = regions_table([region("sky", 2.0)], "camera")
    assert parts.rows[0][:5] == ("sky", "Grad-CAM", "7", "12.5%", "25.0%")
    assert parts.rows[0][5:] == ("2.00 (1.90 to 2.10)", "0.50", "+1.50 (+1.25 to +1.75)")
    dependence = dependence_table([DependenceRow("road map", "gone", HALF, HALF, NOTHING)], 9)
    assert dependence.rows[0] == ("road map", "gone", "0.500 (0.250 to 0.750)", "0.5000 (0.2500 to 0.7500)", "-")
    assert "9 frames" in dependence.title


def test_every_layer_is_a_row_and_the_last_is_their_sum() -> None:
    description = describe_policy(small_policy())
    table = layer_table(description)
    assert len(table.rows) == len(description.layers)
    assert table.rows[0] == ("camera_trunk.0", "conv 5x5 s2", "16x16x24", "5x5", "1,824", "0.922")
    assert all(len(row) == len(table.headers) for row in table.rows)
    total = sum(int(row[4].replace(",", "")) for row in table.rows if row[4])
    assert table.sections[0].rows[0][4] == f"{total:,}"


def frames_of(manoeuvres: list[str], labels: list[float]) -> InspectedFrames:
    samples = small_samples(len(labels))
    names = tuple(str(i) for i in range(len(labels)))
    return InspectedFrames(samples.observations, torch.tensor(labels), names, np.array(manoeuvres), None)


def test_shown_frames_have_different_manoeuvres() -> None:
    kinds = ["straight"] * 5 + ["left", "right", "left", "curve"]
    frames = frames_of(kinds, [0.0] * 5 + [0.1, -0.1, 0.15, 0.02])
    shown = frames_to_show(frames, 4)
    assert [kinds[row] for row in shown] == ["left", "right", "curve", "straight"]
    assert shown[0] == 7  # the sharper of two
    assert sorted(frames_to_show(frames, 9)) == list(range(9))
    assert len(frames_to_show(frames, 100)) == 9
