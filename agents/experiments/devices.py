"""How fast networks train on one device with all data on it, and how much of the device that uses."""

from dataclasses import dataclass, replace

import torch

from agents.experiments.hardware_limits import Ceilings, Cost, Shares, made_up_inputs, shares, training_cost
from agents.experiments.training import speed_of_training
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import Senses, SensesSpec, senses_spec
from agents.policies.policy import NETWORKS, build_policy
from agents.training.config import TrainConfig, choose_device, choose_dtype
from agents.training.dataset import Samples, TrainingData
from navsim.config import from_mapping, to_mapping
from navsim.sensing.rigs import RIGS, Rig
from navsim.sensing.roadmap import MapSpec

WORKLOADS: dict[str, Rig] = {"pilotnet": Rig.PILOTNET, "compact": Rig.DEMO, "amini2019": Rig.AMINI2019}
"""Networks that are measured, each with the cameras that it is meant for."""


@dataclass(frozen=True)
class DeviceSpeed:
    """What was measured of a network."""

    network: str
    """Its name."""
    cameras: str
    """What it sees, such as "3 x 80x200"."""
    batch_size: int
    """Frames per step."""
    samples_per_second: float
    """Frames trained on per second."""
    parts: dict[str, float]
    """Time of each part of a step [s]."""
    peak_memory: int | None
    """Most memory taken [bytes], the data included; None where it is not counted."""
    cost: Cost
    """What a sample takes."""
    shares: Shares
    """How much of the device that uses."""


def measured_networks() -> list[str]:
    """Those of the networks to be measured that there are."""
    return [name for name in WORKLOADS if name in NETWORKS]


def measure_network(name: str, config: TrainConfig, frames: int, seconds: float, ceilings: Ceilings) -> DeviceSpeed:
    """Train a network on made-up frames that lie on the device.

    Args:
        name: Of the network.
        config: Batch size, precision and device.
        frames: How many frames there are.
        seconds: How long to measure [s].
        ceilings: Rates of the device.
    """
    device, cameras, map_spec = choose_device(config), RIGS[WORKLOADS[name]], MapSpec()
    dtype, spec = choose_dtype(config, device), senses_spec(cameras, map_spec)
    policy = from_mapping(PolicyConfig, to_mapping(config.policy) | {"network": name}, "policy")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    samples = made_up_samples(spec, frames, device)
    data = TrainingData(samples, samples[slice(0, 1)], cameras, map_spec)
    speed = speed_of_training(replace(config, policy=policy), data, seconds)
    few = 8
    cost = training_cost(
        build_policy(policy, spec, seed=0).to(device),
        made_up_inputs(spec, few, device, torch.float32),
        samples.labels[:few],
        dtype.itemsize,
    )
    return DeviceSpeed(
        network=name,
        cameras=f"{spec.cameras} x {spec.height}x{spec.width}",
        batch_size=config.batch_size,
        samples_per_second=speed.images_per_second,
        parts=speed.parts,
        peak_memory=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        cost=cost,
        shares=shares(speed.images_per_second, cost, ceilings),
    )


def made_up_samples(spec: SensesSpec, count: int, device: torch.device) -> Samples:
    """Random frames; how fast a network trains does not depend on what they show."""
    generator = torch.Generator(device).manual_seed(0)

    def pictures(*shape: int) -> torch.Tensor:
        return torch.randint(256, (count, *shape), generator=generator, device=device, dtype=torch.uint8)

    road_map, route_map = (pictures(spec.map_size, spec.map_size) for _ in range(2))
    images = pictures(spec.cameras, spec.height, spec.width, 3)
    labels = 0.4 * torch.rand(count, generator=generator, device=device) - 0.2
    demanding = torch.ones(count, dtype=torch.bool, device=device)
    return Samples(Senses(images, road_map, route_map, torch.ones(count, device=device)), labels, demanding)
