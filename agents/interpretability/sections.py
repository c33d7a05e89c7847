"""The page of an inspection: sections with text, images and tables, and the files that it is written to."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.interpretability.figures import (
    HAND_MADE,
    SENSE_LABELS,
    apply_filter,
    cameras_picture,
    dependence_figure,
    enlarge,
    filter_picture,
    left_to_right,
    map_picture,
    png_of,
    regions_figure,
    removal_figure,
)
from agents.interpretability.frames import frames_to_show
from agents.interpretability.inspection import Inspection
from agents.interpretability.layers import Sense, Stream, channel_picture, convolution_outputs, sees, streams_of
from agents.interpretability.measurements import SIDES, select_rows
from agents.interpretability.page import (
    LEADING_METHODS,
    Page,
    PageSection,
    Picture,
    PictureRow,
    dependence_table,
    headlines,
    page_html,
    regions_table,
    removal_table,
    sanity_table,
)
from agents.interpretability.saliency import map_of
from agents.policies.description import LayerDescription, PolicyDescription, layer_table
from navsim.config import to_mapping
from navsim.storage import write_bytes, write_json, write_text
from navsim.visualization.canvas import png

PAGE, NUMBERS, PICTURES = "index.html", "numbers.json", "pictures"
_SLUGS = {"VisualBackProp": "vbp", "Grad-CAM": "gradcam", "integrated gradients": "ig"}


def write_inspection(inspection: Inspection, folder: Path) -> Path:
    """Write the page, its images and the numbers into a folder; files of an earlier inspection are replaced.

    Returns:
        Path of the page.

    Raises:
        StorageError: If the files cannot be written.
    """
    page = page_of(inspection)
    for picture in page.pictures:
        write_bytes(folder / PICTURES / f"{picture.name}.png", picture.png)
    write_json(folder / NUMBERS, {"config": to_mapping(inspection.config), "numbers": to_mapping(inspection.numbers)})
    write_text(folder / PAGE, page_html(page))
    return folder / PAGE


def page_of(inspection: Inspection) -> Page:
    """Compose the page."""
    numbers, policy = inspection.numbers, inspection.numbers.policy
    size = f"{inspection.cameras[0].width}x{inspection.cameras[0].height} px"
    facts = {
        "checkpoint": numbers.checkpoint,
        "policy": f"{policy.network} with {policy.head} head, {numbers.layers.parameters:,} parameters",
        "sees": ", ".join(policy.inputs).replace("_", " "),
        "cameras": f"{', '.join(camera.name for camera in inspection.cameras)}, {size}",
        "frames": f"{numbers.frames} of {numbers.drives} drives in {', '.join(numbers.towns)}",
    }
    if leading := next((method for method in LEADING_METHODS if method in inspection.saliency), None):
        facts["main results by"] = leading
    if numbers.overlay_ms is not None:
        facts["live overlay"] = f"{numbers.overlay_ms:.1f} ms on this machine"
    return Page("What a policy looks at", facts, tuple(headlines(inspection)), numbers.notes, sections_of(inspection))


def sections_of(inspection: Inspection) -> tuple[PageSection, ...]:
    """Return all sections that apply to the policy."""
    shown = frames_to_show(inspection.frames, inspection.config.shown)
    convolutional = bool(streams_of(inspection.policy))
    return (
        *([filters_section(inspection, shown[0]), features_section(inspection, shown[0])] if convolutional else []),
        layers_section(inspection),
        *([saliency_section(inspection, shown), checks_section(inspection)] if inspection.saliency else []),
        *([regions_section(inspection)] if inspection.saliency and inspection.numbers.regions else []),
        dependence_section(inspection, shown),
    )


def filters_section(inspection: Inspection, shown: int) -> PageSection:
    """Show hand-made filters beside the first learned ones."""
    image = inspection.frames.observations.images[shown, 0].numpy()
    pictures = [Picture("frame", png(enlarge(image)), f"a frame: {inspection.frames.names[shown]}")]
    for name, kernel in HAND_MADE.items():
        text = f"{name}: {' / '.join(' '.join(map(str, row)) for row in kernel)}"
        pictures.append(Picture(f"filter-{name.replace(' ', '-')}", png(enlarge(apply_filter(image, kernel))), text))
    rows = [PictureRow(tuple(pictures), "half", "Filters made by hand, on a frame of the first camera")]
    outputs = _outputs(inspection, shown)
    streams = [stream for stream in streams_of(inspection.policy) if stream.sense == "map" or 0 in stream.inputs]
    rows.extend(_learned_filters(inspection.policy, stream, outputs) for stream in streams)
    text = (
        "Filters designed by people, and those found by training. Each feature map is scaled from its own minimum "
        "(black) to its maximum (white)."
    )
    return PageSection("Filters: by hand and learned", "filters", (text,), tuple(rows))


def features_section(inspection: Inspection, shown: int) -> PageSection:
    """Show the feature maps of every convolution."""
    layers = {layer.name: layer for layer in inspection.numbers.layers.layers}
    outputs, rows = _outputs(inspection, shown), list[PictureRow]()
    for sense, label in SENSE_LABELS.items():
        streams = [stream.name + "." for stream in streams_of(inspection.policy) if stream.sense == sense]
        pictures = tuple(
            Picture(f"features-{name}", png(channel_picture(output[0])), _layer_caption(layers[name]))
            for name, output in outputs.items()
            if any(name.startswith(stream) for stream in streams)
        )
        if pictures:
            rows.append(PictureRow(pictures, "third", f"From the {label}"))
    text = (
        "From edges near the pixels to the layout of the road: every channel of every convolution, before the "
        "rectifier, for the frame above."
    )
    return PageSection("Feature maps of every layer", "features", (text,), tuple(rows))


def layers_section(inspection: Inspection) -> PageSection:
    """Show the layers of the policy and of a fully connected network."""
    tables = [layer_table(inspection.numbers.layers)]
    paragraphs = [
        "h x w x d is the output shape; the receptive field of one of its pixels is in the camera image or map."
    ]
    if inspection.numbers.contrast is not None:
        tables.append(layer_table(inspection.numbers.contrast))
        ours, other = _network_parameters(inspection.numbers.layers), _network_parameters(inspection.numbers.contrast)
        paragraphs.append(
            f"A fully connected network with the same inputs has {other:,} weights in its layers, {other / ours:.1f} "
            "times as many, and each weight of its first layer belongs to one pixel. All convolutions of the policy "
            f"have {inspection.numbers.layers.parameters_of('conv'):,} weights, each applied to the whole image."
        )
    return PageSection("Layers", "layers", tuple(paragraphs), tables=tuple(tables))


def saliency_section(inspection: Inspection, shown: Sequence[int]) -> PageSection:
    """Show the saliency of frames and maps."""
    rows = list[PictureRow]()
    for index, row in enumerate(shown):
        heading = f"{inspection.frames.names[row]}; {inspection.frames.manoeuvres[row].replace('_', ' ')}"
        if sees(inspection.policy, "camera"):
            kind = "wide" if len(inspection.cameras) > 1 else "half"
            rows.append(PictureRow(_camera_saliency(inspection, row, index), kind, heading))
            heading = ""
        if sees(inspection.policy, "map"):
            rows.append(PictureRow(_map_saliency(inspection, row, index), "small", heading))
    paragraphs = (
        (
            "VisualBackProp shows what excites the convolutions; Grad-CAM and integrated gradients show the "
            "pixels behind the mean of the steering distribution, to either side. Bright is salient; each image has "
            "its own scale."
        ),
    )
    return PageSection("Saliency", "saliency", paragraphs, tuple(rows))


def checks_section(inspection: Inspection) -> PageSection:
    """Show the checks of the saliency."""
    numbers, pictures = inspection.numbers, list[Picture]()
    for sense, removal in inspection.removals.items():
        caption = f"{SENSE_LABELS[sense]}, mean over {numbers.frames} frames"
        for name, inserted in (("deletion", False), ("insertion", True)):
            png = png_of(removal_figure(removal, sense, inserted))
            pictures.append(Picture(f"{name}-{sense}", png, caption))
    paragraphs = (
        (
            f"Deletion and insertion: squares of {SIDES['camera']} px (camera) and {SIDES['map']} px (map) are "
            "removed or restored, the most salient first. Soft patches of colour replace them in a camera image, "
            "emptiness on a map. The distance is the total variation between the steering distributions, "
            "averaged over the shares. A gain compares with random orders on the same frame; its interval is over "
            "frames."
        ),
        (
            "Random weights: the rank correlation between the saliency of the trained network and that of networks "
            "with random weights, for all weights the mean of three networks. Saliency that stays the same shows "
            "the image and nothing that was learned. On maps only the pixels with content count. VisualBackProp "
            "depends on the convolutions alone, so that random weights after them cannot change it."
        ),
        (
            "Integrated gradients sum to the change that they explain, from the blurred image to the original, "
            f"with a mean error of {numbers.integral_error:.1%} of it."
        ),
    )
    tables = (removal_table(numbers.removal), sanity_table(numbers.sanity))
    return PageSection(
        "Can the saliency be believed?", "checks", paragraphs, (PictureRow(tuple(pictures), "half"),), tables
    )


def regions_section(inspection: Inspection) -> PageSection:
    """Show the saliency by region."""
    pictures = tuple(
        Picture(f"regions-{sense}", png_of(regions_figure(rows)), f"{SENSE_LABELS[sense]}, 95% intervals over frames")
        for sense, rows in inspection.numbers.regions.items()
    )
    paragraphs = (
        (
            "Each frame was rerendered at its recorded pose with the class of every pixel. A density of 2 means "
            "twice as much saliency per pixel as in the whole image. Junctions overlap the other parts and count in "
            "frames that show one. The gain by training is the density minus that of the same network with random "
            "weights, the mean of three."
        ),
    )
    tables = tuple(regions_table(rows, sense) for sense, rows in inspection.numbers.regions.items())
    return PageSection("Where the saliency lies", "regions", paragraphs, (PictureRow(pictures, "half"),), tables)


def dependence_section(inspection: Inspection, shown: Sequence[int]) -> PageSection:
    """Show the effect of each input on the decision."""
    names, pictures = [camera.name for camera in inspection.cameras], list[Picture]()
    for index, row in enumerate(shown):
        frame, label = select_rows(inspection.inputs, slice(row, row + 1)), float(inspection.frames.labels[row])
        figure = dependence_figure(inspection.policy, frame, label, names, inspection.frames.names[row])
        caption = inspection.frames.manoeuvres[row].replace("_", " ")
        pictures.append(Picture(f"dependence-{index}", png_of(figure), caption))
    paragraphs = (
        (
            "Gone: a camera's image is replaced by soft patches of its colours, a map is empty, the speed is 0. "
            "Swapped: the input is that of another frame. The distance is the probability that moves elsewhere, "
            "from 0 to 1; the loss is that of the expert's command."
        ),
    )
    table = dependence_table(inspection.numbers.dependence, inspection.numbers.frames)
    figures = PictureRow(tuple(pictures), "half")
    return PageSection("What the decision depends on", "dependence", paragraphs, (figures,), (table,))


def _learned_filters(policy: nn.Module, stream: Stream, outputs: dict[str, Tensor]) -> PictureRow:
    """Show the first filters of a stream with their feature maps."""
    name, layer = next(
        (name, module)
        for name, module in policy.named_modules()
        if name.startswith(stream.name + ".") and isinstance(module, nn.Conv2d)
    )
    size = "x".join(map(str, layer.kernel_size))
    text = f"{layer.out_channels} learned filters of {name.removeprefix('network.')}, {size}; grey is 0"
    if len(stream.inputs) > 1 and stream.sense == "map":
        text += "; one below the other for each map"
    columns = None if layer.in_channels == 3 else max(layer.out_channels // 2, 1)
    tiles = Picture(f"learned-{name}", png(filter_picture(layer.weight, columns)), text, pixelated=True)
    label = "first camera" if stream.sense == "camera" else "maps"
    maps = Picture(f"learned-maps-{name}", png(channel_picture(outputs[name][0])), "their feature maps")
    return PictureRow((tiles, maps), "half", f"Learned filters, on the {label}")


def _camera_saliency(inspection: Inspection, row: int, index: int) -> tuple[Picture, ...]:
    """Show one frame's cameras, without and with the saliency of each method."""
    images, cameras = inspection.frames.observations.images[row].numpy(), inspection.cameras
    names = ", ".join(cameras[i].name for i in left_to_right(cameras))
    pictures = [Picture(f"seen-{index}", png(cameras_picture(images, cameras)), f"cameras: {names}")]
    for method, values in _by_method(inspection, "camera"):
        overlay = png(cameras_picture(images, cameras, values[row]))
        pictures.append(Picture(f"saliency-{index}-{_SLUGS[method]}", overlay, method))
    return tuple(pictures)


def _map_saliency(inspection: Inspection, row: int, index: int) -> tuple[Picture, ...]:
    """Show one frame's map, without and with the saliency of each method."""
    picture = map_of(select_rows(inspection.inputs, slice(row, row + 1)))[0]
    text = "map; the route in red" if "route_map" in inspection.policy.config.inputs else "map"
    pictures = [Picture(f"map-{index}", png(map_picture(picture)), text, pixelated=True)]
    for method, values in _by_method(inspection, "map"):
        overlay = png(map_picture(picture, values[row, 0]))
        pictures.append(Picture(f"map-{index}-{_SLUGS[method]}", overlay, method, pixelated=True))
    return tuple(pictures)


def _by_method(inspection: Inspection, sense: Sense) -> list[tuple[str, NDArray[np.float32]]]:
    """Return the methods with saliency for a kind of input, with their values."""
    return [(method, by_sense[sense]) for method, by_sense in inspection.saliency.items() if sense in by_sense]


@torch.no_grad()
def _outputs(inspection: Inspection, shown: int) -> dict[str, Tensor]:
    """Return the outputs of every convolution for one frame."""
    return convolution_outputs(inspection.policy, inspection.frames.observations[shown : shown + 1])


def _layer_caption(layer: LayerDescription) -> str:
    field = "all" if layer.field is None else "x".join(map(str, layer.field)) + " px"
    return f"{layer.name.removeprefix('network.')}: {' x '.join(map(str, layer.output))}, field {field}"


def _network_parameters(description: PolicyDescription) -> int:
    """Return the number of trained values in front of the head."""
    return sum(layer.parameters for layer in description.layers if layer.name.startswith("network."))
