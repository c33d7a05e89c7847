"""Everything about one policy in one folder: ONNX, weights and card; complete or absent."""

import dataclasses
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from agents.drivers.onnx_driver import CARD_NAME, ONNX_NAME, ExportMetadata
from agents.drivers.registry import policy_digest
from agents.export.card import CardContents, model_card
from agents.export.graph import DrivingGraph, check_graph, driven_observations, export_graph, random_observations
from agents.policies import WEIGHTS_NAME
from agents.policies.checkpoint import (
    CheckpointInfo,
    checkpoint_file,
    checkpoint_input,
    load_policy,
    read_info,
    save_checkpoint,
)
from agents.policies.policy import parameter_count
from navsim.config import from_mapping
from navsim.drivers.action_selection import GRID_POINTS, ActingConfig
from navsim.errors import ConfigError
from navsim.provenance import git_revision, software_versions
from navsim.run_folder import locked_folder
from navsim.storage import atomic_folder, write_bytes, write_text

NUM_CHECKED = 8
"""Number of situations of each kind on which an exported policy is compared with its checkpoint."""


@dataclass(frozen=True)
class ExportConfig:
    """Checkpoint to export, and the folder of the export."""

    checkpoint: Path = Path("runs/demo/policy/best.safetensors")
    """Checkpoint of the policy."""
    out: Path = Path("runs/demo/export")
    """Folder of the export, which must not exist yet."""
    results: Path | None = None
    """File `results.json` of an evaluation with this checkpoint, for the card."""


def export(config: ExportConfig) -> CardContents:
    """Export a policy; the folder appears once the ONNX file is checked against the checkpoint.

    Raises:
        CheckpointError: If the checkpoint is unusable, or the ONNX file differs from it.
        ConfigError: If the exporter is missing or cannot express the network, or the results lack the checkpoint.
        StorageError: If the folder exists already or cannot be written.
    """
    file = checkpoint_input(config.checkpoint)
    beside = locked_folder(config.out.absolute().parent, f"export-{config.out.name}")
    with beside, atomic_folder(config.out) as folder, file.unchanged():
        info = read_info(config.checkpoint)
        results = {} if config.results is None else closed_loop_scores(config.results, config.checkpoint)
        policy = load_policy(config.checkpoint, info.cameras, info.map)
        metadata = _metadata(info, commands=policy.command is not None)
        graph = DrivingGraph(policy)
        data = export_graph(graph, metadata)
        spec = info.observation_spec
        batches = [random_observations(spec, NUM_CHECKED), driven_observations(info.cameras, info.map, NUM_CHECKED)]
        difference = check_graph(data, graph, batches)
        with torch.inference_mode():
            first = batches[0]
            outputs = tuple(graph(first.images, first.road_map, first.route_map, first.speed))
        contents = CardContents(
            metadata=metadata,
            outputs=outputs,
            parameters=parameter_count(policy),
            difference=difference,
            checkpoint=str(config.checkpoint),
            run=info.run,
            scores=epoch_scores(info, config.checkpoint),
            closed_loop=results,
        )
        write_bytes(folder / ONNX_NAME, data)
        save_checkpoint(folder / WEIGHTS_NAME, dataclasses.replace(info, progress={}), policy)
        write_text(folder / CARD_NAME, model_card(contents))
    return contents


def epoch_scores(info: CheckpointInfo, checkpoint: Path) -> dict[str, float]:
    """Return the scores of a checkpoint's epoch, by name; empty if they are unknown.

    Args:
        info: Header of the checkpoint, with the history of its run so far.
        checkpoint: File of the checkpoint. Without a history, the best epoch in the `metrics.json` beside it counts.
    """
    history = info.progress.get("history")
    if history is None and checkpoint.stem == "best":
        history = _read_json(checkpoint.parent / "metrics.json")
        best = history.get("best_epoch")
        history = {"epochs": [epoch for epoch in history.get("epochs", ()) if epoch.get("epoch") == best]}
    epochs = (history or {}).get("epochs", ())
    rows = [epochs[-1].get(kind) or {} for kind in ("validation", "closed_loop")] if epochs else []
    return {name: float(value) for row in rows for name, value in row.items() if isinstance(value, int | float)}


def _read_json(path: Path) -> dict[str, Any]:
    """Return the mapping in a file, empty if there is none."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def closed_loop_scores(results: Path, checkpoint: Path) -> dict[str, Any]:
    """Return an evaluation's results for a checkpoint, with a `title` that names the routes.

    The content of the checkpoint counts, not its path; results of earlier versions know only the path.

    Raises:
        ConfigError: If the file cannot be read, or the checkpoint did not drive there.
    """
    try:
        values = json.loads(results.read_bytes())
        origins, settings = values["origins"], values["config"]
        digests = values.get("identity", {}).get("drivers", {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"results = {results}: no results of an evaluation ({error!r})") from None
    if digests:
        acting = from_mapping(ActingConfig, settings.get("acting", {}), str(results))
        digest = policy_digest(checkpoint_file(checkpoint).read_bytes(), acting)
        own = [name for name, found in digests.items() if found == digest]
    else:
        own = [name for name, origin in origins.items() if Path(origin).resolve() == checkpoint.resolve()]
    if not own:
        drove = ", ".join(f"{name} ({origin})" for name, origin in origins.items())
        how = " with its present content" if digests else ""
        raise ConfigError(f"results = {results}: {checkpoint} did not drive there{how}, but {drove}")
    where = f"{settings['towns']} {settings['split']} towns"
    routes = f"{settings['routes']} routes through junctions, {where}"
    suite = settings.get("suite")
    title = f"{routes if suite is None else f'suite {suite}'}, seed {settings['seed']}"
    return {**values["drivers"][own[0]], "title": title}


def _metadata(info: CheckpointInfo, commands: bool) -> ExportMetadata:
    """Return the metadata of the ONNX file."""
    exporters = software_versions() | {name: version(name) for name in ("torch", "onnx", "onnxruntime")}
    return ExportMetadata(
        policy=info.policy,
        cameras=info.cameras,
        map=info.map,
        grid_points=GRID_POINTS,
        commands=commands,
        versions=info.versions,
        exporters=exporters | {"git": git_revision()},
    )
