"""The parts of an inspection's page: words, pictures and tables."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.interpretability.figures import (
    HAND_MADE,
    SENSES,
    cameras_picture,
    dependence_figure,
    filter_picture,
    filtered,
    from_left,
    larger,
    map_picture,
    png_of,
    regions_figure,
    removal_figure,
)
from agents.interpretability.frames import frames_to_show
from agents.interpretability.inspection import Inspection
from agents.interpretability.layers import Sense, Stream, channel_picture, convolution_outputs, sees, streams_of
from agents.interpretability.measurements import SIDES, some
from agents.interpretability.page import (
    Picture,
    Row,
    Section,
    dependence_table,
    layer_table,
    regions_table,
    removal_table,
    sanity_table,
)
from agents.interpretability.saliency import map_of
from agents.policies.description import LayerDescription, PolicyDescription
from navsim.visualization.canvas import png

_SLUGS = {"VisualBackProp": "vbp", "Grad-CAM": "gradcam", "integrated gradients": "ig"}


def sections_of(seen: Inspection) -> tuple[Section, ...]:
    """All parts that this policy has."""
    shown = frames_to_show(seen.frames, seen.config.shown)
    convolutional = bool(streams_of(seen.policy))
    return (
        *([filters_section(seen, shown[0]), features_section(seen, shown[0])] if convolutional else []),
        layers_section(seen),
        *([saliency_section(seen, shown), checks_section(seen)] if seen.found else []),
        *([regions_section(seen)] if seen.found and seen.numbers.regions else []),
        dependence_section(seen, shown),
    )


def filters_section(seen: Inspection, shown: int) -> Section:
    """Hand-made filters beside the learned first ones."""
    image = seen.frames.senses.images[shown, 0].numpy()
    pictures = [Picture("frame", png(larger(image)), f"a frame: {seen.frames.names[shown]}")]
    for name, kernel in HAND_MADE.items():
        words = f"{name}: {' / '.join(' '.join(map(str, row)) for row in kernel)}"
        pictures.append(Picture(f"filter-{name.replace(' ', '-')}", png(larger(filtered(image, kernel))), words))
    rows = [Row(tuple(pictures), "half", "Filters made by hand, on a frame of the first camera")]
    outputs = _outputs(seen, shown)
    streams = [stream for stream in streams_of(seen.policy) if stream.sense == "map" or 0 in stream.inputs]
    rows.extend(_learned_filters(seen.policy, stream, outputs) for stream in streams)
    words = (
        "What people designed before, and what training found in its place. Each feature map is drawn from its own "
        "least value (black) to its greatest (white)."
    )
    return Section("Filters: by hand and learned", "filters", (words,), tuple(rows))


def features_section(seen: Inspection, shown: int) -> Section:
    """Feature maps of every convolution."""
    layers = {layer.name: layer for layer in seen.numbers.layers.layers}
    outputs, rows = _outputs(seen, shown), list[Row]()
    for sense, what in SENSES.items():
        streams = [stream.name + "." for stream in streams_of(seen.policy) if stream.sense == sense]
        pictures = tuple(
            Picture(f"features-{name}", png(channel_picture(output[0])), _layer_words(layers[name]))
            for name, output in outputs.items()
            if any(name.startswith(stream) for stream in streams)
        )
        if pictures:
            rows.append(Row(pictures, "third", f"From the {what}"))
    words = (
        "From edges near the pixels to the layout of the road: every channel of every convolution, before the "
        "rectifier, for the frame above."
    )
    return Section("Feature maps of every layer", "features", (words,), tuple(rows))


def layers_section(seen: Inspection) -> Section:
    """Layer tables: the policy's and a fully connected network's."""
    tables = [layer_table(seen.numbers.layers)]
    words = ["h x w x d is the output volume; the field is what one of its pixels can see of the camera image or map."]
    if seen.numbers.contrast is not None:
        tables.append(layer_table(seen.numbers.contrast))
        ours, other = _in_network(seen.numbers.layers), _in_network(seen.numbers.contrast)
        words.append(
            f"A fully connected network that sees the same has {other:,} weights in its layers, {other / ours:.1f} "
            "times as many, and each of its first ones sees one pixel alone, at one place. All convolutions here "
            f"together have {seen.numbers.layers.parameters_of('conv'):,}, each used all over the picture."
        )
    return Section("Layers", "layers", tuple(words), tables=tuple(tables))


def saliency_section(seen: Inspection, shown: Sequence[int]) -> Section:
    """Saliency over frames and maps."""
    rows = list[Row]()
    for number, row in enumerate(shown):
        heading = f"{seen.frames.names[row]}; {seen.frames.manoeuvres[row].replace('_', ' ')}"
        if sees(seen.policy, "camera"):
            kind = "wide" if len(seen.cameras) > 1 else "half"
            rows.append(Row(_camera_saliency(seen, row, number), kind, heading))
            heading = ""
        if sees(seen.policy, "map"):
            rows.append(Row(_map_saliency(seen, row, number), "small", heading))
    words = (
        (
            "VisualBackProp shows what excites the convolutions; Grad-CAM and integrated gradients show what the "
            "mean of the steering distribution comes from, to whichever side. Bright is salient; each picture has "
            "a scale of its own."
        ),
    )
    return Section("Saliency", "saliency", words, tuple(rows))


def checks_section(seen: Inspection) -> Section:
    """Whether saliency can be believed."""
    numbers, pictures = seen.numbers, list[Picture]()
    for sense, removal in seen.removals.items():
        caption = f"{SENSES[sense]}, mean over {numbers.frames} frames"
        for name, inserted in (("deletion", False), ("insertion", True)):
            png = png_of(removal_figure(removal, sense, inserted))
            pictures.append(Picture(f"{name}-{sense}", png, caption))
    words = (
        (
            f"Deletion and insertion: squares of {SIDES['camera']} px (camera) and {SIDES['map']} px (map) are "
            "taken away or put back, the most salient first. In a camera image soft stains of colour take their "
            "place, on a map nothing. The distance is the total variation between the steering distributions, "
            "averaged over the shares. A gain compares with random orders on the same frame; its interval is over "
            "frames."
        ),
        (
            "Forgetting: the rank correlation between the saliency of the trained network and of one whose weights "
            "were drawn anew, for all weights the mean of three such. Saliency that stays as it was shows the "
            "picture, not what was learned. On maps only the pixels with something on them count. VisualBackProp "
            "looks at the convolutions alone, so that forgetting the layers after them cannot change it."
        ),
        (
            "Integrated gradients add up to the change that they explain, from the veiled picture to the whole "
            f"one, with a mean error of {numbers.integral_error:.1%} of it."
        ),
    )
    tables = (removal_table(numbers.removal), sanity_table(numbers.sanity))
    return Section("Can the saliency be believed?", "checks", words, (Row(tuple(pictures), "half"),), tables)


def regions_section(seen: Inspection) -> Section:
    """On what saliency lies."""
    pictures = tuple(
        Picture(f"regions-{sense}", png_of(regions_figure(rows)), f"{SENSES[sense]}, 95% intervals over frames")
        for sense, rows in seen.numbers.regions.items()
    )
    words = (
        (
            "Each frame was drawn anew at its recorded pose with the class of every pixel. A density of 2 means "
            "twice as much saliency per pixel as in the picture on average. Junctions lie over the other parts and "
            "count in frames that show one. What training gained is the density minus that of the same network "
            "with random weights, the mean of three."
        ),
    )
    tables = tuple(regions_table(rows, sense) for sense, rows in seen.numbers.regions.items())
    return Section("On what it lies", "regions", words, (Row(pictures, "half"),), tables)


def dependence_section(seen: Inspection, shown: Sequence[int]) -> Section:
    """What the decision depends on."""
    names, pictures = [camera.name for camera in seen.cameras], list[Picture]()
    for number, row in enumerate(shown):
        frame, label = some(seen.inputs, slice(row, row + 1)), float(seen.frames.labels[row])
        figure = dependence_figure(seen.policy, frame, label, names, seen.frames.names[row])
        words = seen.frames.manoeuvres[row].replace("_", " ")
        pictures.append(Picture(f"dependence-{number}", png_of(figure), words))
    words = (
        (
            "Gone: a camera's image is replaced by soft stains of its colours, a map is empty, the speed is 0. "
            "Swapped: the input is that of another frame. The distance is the probability that moves elsewhere, "
            "from 0 to 1; the loss is that of the expert's command."
        ),
    )
    table = dependence_table(seen.numbers.dependence, seen.numbers.frames)
    return Section("What the decision depends on", "dependence", words, (Row(tuple(pictures), "half"),), (table,))


def _learned_filters(policy: nn.Module, stream: Stream, outputs: dict[str, Tensor]) -> Row:
    """The first filters of a stream, and what they answer."""
    name, layer = next(
        (name, module)
        for name, module in policy.named_modules()
        if name.startswith(stream.name + ".") and isinstance(module, nn.Conv2d)
    )
    size = "x".join(map(str, layer.kernel_size))
    words = f"{layer.out_channels} learned filters of {name.removeprefix('network.')}, {size}; grey is 0"
    if len(stream.inputs) > 1 and stream.sense == "map":
        words += "; one below the other for each map"
    columns = None if layer.in_channels == 3 else max(layer.out_channels // 2, 1)
    tiles = Picture(f"learned-{name}", png(filter_picture(layer.weight, columns)), words, pixelated=True)
    what = "first camera" if stream.sense == "camera" else "maps"
    maps = Picture(f"learned-maps-{name}", png(channel_picture(outputs[name][0])), "their feature maps")
    return Row((tiles, maps), "half", f"Filters that were learned, on the {what}")


def _camera_saliency(seen: Inspection, row: int, number: int) -> tuple[Picture, ...]:
    """One frame's cameras, then with the saliency of each method."""
    images, cameras = seen.frames.senses.images[row].numpy(), seen.cameras
    names = ", ".join(cameras[i].name for i in from_left(cameras))
    pictures = [Picture(f"seen-{number}", png(cameras_picture(images, cameras)), f"seen: {names}")]
    for method, values in _by_method(seen, "camera"):
        heat = png(cameras_picture(images, cameras, values[row]))
        pictures.append(Picture(f"saliency-{number}-{_SLUGS[method]}", heat, method))
    return tuple(pictures)


def _map_saliency(seen: Inspection, row: int, number: int) -> tuple[Picture, ...]:
    """One frame's map, then with the saliency of each method."""
    plain = map_of(some(seen.inputs, slice(row, row + 1)))[0]
    words = "map; the route in red" if "route_map" in seen.policy.config.inputs else "map"
    pictures = [Picture(f"map-{number}", png(map_picture(plain)), words, pixelated=True)]
    for method, values in _by_method(seen, "map"):
        heat = png(map_picture(plain, values[row, 0]))
        pictures.append(Picture(f"map-{number}-{_SLUGS[method]}", heat, method, pixelated=True))
    return tuple(pictures)


def _by_method(seen: Inspection, sense: Sense) -> list[tuple[str, NDArray[np.float32]]]:
    """The methods that find something in a sense, and what."""
    return [(method, senses[sense]) for method, senses in seen.found.items() if sense in senses]


@torch.no_grad()
def _outputs(seen: Inspection, shown: int) -> dict[str, Tensor]:
    """What every convolution answers to one frame."""
    return convolution_outputs(seen.policy, seen.frames.senses[shown : shown + 1])


def _layer_words(layer: LayerDescription) -> str:
    field = "all" if layer.field is None else "x".join(map(str, layer.field)) + " px"
    return f"{layer.name.removeprefix('network.')}: {' x '.join(map(str, layer.output))}, field {field}"


def _in_network(description: PolicyDescription) -> int:
    """Trained values in front of the head."""
    return sum(layer.parameters for layer in description.layers if layer.name.startswith("network."))
