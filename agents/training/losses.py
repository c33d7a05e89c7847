"""A further task for a policy's camera trunk while it learns: tell what each pixel shows. Nothing of it drives.

B: batch, C: cameras, F: channels of the trunk's last picture, h and w: its size [px], K: classes.

The loss and its parts. B: batch, K: components.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.policies.distributions.base import SteeringDistribution
from agents.policies.distributions.mixture import SteeringMixture, TruncatedMixture
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.network import SharedTrunks
from agents.policies.policy import HEADS, NETWORKS, Policy
from navsim.errors import ConfigError
from navsim.world.scenery.meshes import CLASS_NAMES

LABEL_STEP = 2
"""The classes of every so many-th pixel of every so many-th row are asked for: a quarter of the time, and thin lines
stay in most places."""
_WIDTHS = (32, 24)


class SegmentationDecoder(nn.Module):
    """Transposed convolutions over the last picture of a camera trunk, up to the classes of the camera's pixels.

    It has no way around that picture: what it needs must be told there, at the trunk's coarsest.
    """

    def __init__(self, channels: int, classes: int) -> None:
        """Draw the initial weights from torch's global generator, for `channels` channels and `classes` classes."""
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in pairwise((channels, *_WIDTHS, classes)):
            layers += [nn.ConvTranspose2d(a, b, 4, 2, padding=1), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, pictures: Tensor, size: tuple[int, int]) -> Tensor:
        """Scores (B, K, *size) of every class, for a trunk's pictures (B, F, h, w)."""
        scores: Tensor = self.layers(pictures)
        if scores.shape[-2:] == size:
            return scores
        return functional.interpolate(scores, size, mode="bilinear", align_corners=False)

    def loss(self, pictures: Tensor, classes: Tensor) -> Tensor:
        """Cross entropy [nats], averaged over pixels.

        Args:
            pictures: What the trunk made of B * C images (B * C, F, h, w).
            classes: What their pixels show (B, C, H, W) uint8.
        """
        wanted = classes.flatten(0, 1)[:, ::LABEL_STEP, ::LABEL_STEP].long()
        scores = self(pictures, (wanted.shape[1], wanted.shape[2]))
        return functional.cross_entropy(scores.float(), wanted)


def build_decoder(policy: Policy, seed: int) -> SegmentationDecoder:
    """Build a decoder for a policy's camera trunk, with initial weights that depend on `seed` alone.

    Raises:
        ConfigError: If the policy's network has no camera trunk.
    """
    last = picture_layer(policy)
    convolutions = [module for module in _trunk(policy).modules() if isinstance(module, nn.Conv2d)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = SegmentationDecoder(convolutions[-1].out_channels, len(CLASS_NAMES))
    return decoder.to(next(last.parameters(), convolutions[-1].weight).device)


def picture_layer(policy: Policy) -> nn.Module:
    """The layer of a policy's camera trunk that gives out its last picture, before that is averaged and flattened.

    Raises:
        ConfigError: If the policy's network has no camera trunk.
    """
    layers = [layer for layer in _trunk(policy) if not isinstance(layer, nn.AvgPool2d | nn.Flatten)]
    return layers[-1]


def _trunk(policy: Policy) -> nn.Sequential:
    """The camera trunk."""
    network = policy.network
    if not isinstance(network, SharedTrunks) or "camera" not in policy.config.inputs:
        raise ConfigError(f"loss.segmentation needs a camera trunk; {policy.config.network} has none")
    return network.camera_trunk


@dataclass(frozen=True)
class LossConfig:
    """Terms beside the head's own loss.

    The regularisers, `weight_norm` and `log_scale`, are off by default. Both are known only from a re-implementation of
    the source (Amini et al., ICRA 2019), without their constants: the exponent and the target below are ours.
    """

    weight_norm: float = 0.0
    """Weight of the L_p norm of the mixture's weights phi."""
    weight_norm_power: float = 2.0
    """The norm's p, not 1: above 1 the norm is least for equal weights, below 1 for a single component."""
    log_scale: float = 0.0
    """Weight of (log sigma - c)^2, averaged over the components."""
    log_scale_target: float = -3.0
    """Its c, with sigma in units of `max_curvature`: -3 is a twentieth of the range."""
    command: float = 10.0
    """Weight of the squared error of the command in units of `max_curvature`, for networks with a branch for the route.
    The source trains both jointly and does not say how it weighs them: ours, so that both are of one size."""
    segmentation: float = 0.0
    """Weight of the cross entropy of a decoder that tells from the camera trunk what each pixel shows, for drives that
    were recorded with classes. It is there only to learn the trunk by; nothing of it drives."""

    def __post_init__(self) -> None:
        if not 0 <= self.segmentation <= 1e6:
            raise ConfigError(f"loss.segmentation must be 0 to 1000000, got {self.segmentation}")
        for name in REGULARISERS:
            if not 0 <= getattr(self, name) <= 1e6:
                raise ConfigError(f"loss.{name} must be 0 to 1000000, got {getattr(self, name)}")
        if not 0 < self.command <= 1e6:
            raise ConfigError(f"loss.command must be above 0 and at most 1000000, got {self.command}")
        if not 0.1 <= self.weight_norm_power <= 10 or self.weight_norm_power == 1:
            raise ConfigError(f"loss.weight_norm_power must be 0.1 to 10 and not 1, got {self.weight_norm_power}")
        if not -20 <= self.log_scale_target <= 0:
            raise ConfigError(f"loss.log_scale_target must be -20 to 0, got {self.log_scale_target}")

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the regularisers that are on, by name."""
        return {name: getattr(self, name) for name in REGULARISERS if getattr(self, name)}


def check_loss(loss: LossConfig, policy: PolicyConfig) -> None:
    """Raise ConfigError if a term has a weight that the policy's head or network has not got."""
    seeing = not policy.blind and "camera" in policy.inputs
    if loss.segmentation and not (seeing and issubclass(NETWORKS[policy.network], SharedTrunks)):
        having = ", ".join(name for name, network in NETWORKS.items() if issubclass(network, SharedTrunks))
        raise ConfigError(
            f"loss.segmentation = {loss.segmentation} needs a network with a camera trunk ({having}) that is not blind"
        )
    for name, weight in loss.weights.items():
        if name not in HEADS[policy.head].regularisers:
            having = ", ".join(kind for kind, head in HEADS.items() if name in head.regularisers)
            raise ConfigError(
                f"loss.{name} = {weight} needs a head with that term ({having}); policy.head is {policy.head}"
            )


@dataclass(frozen=True, eq=False)
class LossParts:
    """The terms of the loss, each a scalar averaged over the batch."""

    nll: Tensor
    """Negative log-likelihood of the labels [nats], of a density over curvature in 1/m; minimised by most heads."""
    terms: Mapping[str, Tensor]
    """What is minimised, by name, before weighting."""
    weights: Mapping[str, float]
    """Weight of each term."""

    def joined(self, name: str, term: Tensor, weight: float) -> "LossParts":
        """These terms and one more."""
        return LossParts(self.nll, {**self.terms, name: term}, {**self.weights, name: weight})

    @property
    def total(self) -> Tensor:
        """What is minimised: the weighted sum of the terms."""
        return torch.stack([self.weights[name] * term for name, term in self.terms.items()]).sum()

    def named(self) -> dict[str, Tensor]:
        """The likelihood, the terms and their total by name."""
        return {"nll": self.nll, **self.terms, "total": self.total}


def steering_loss(
    distribution: SteeringDistribution,
    labels: Tensor,
    policy: PolicyConfig,
    loss: LossConfig,
    *,
    command: Tensor | None = None,
    weights: Tensor | None = None,
) -> LossParts:
    """Score a batch by the head's own loss and the regularisers that are on.

    The source's loss is L = -log P(label | images, map) (Amini et al., ICRA 2019), with the squared error of the
    command beside it where the network gives one.

    Args:
        distribution: Predictions of the policy's head for B situations.
        labels: The expert's curvatures (B,) [1/m].
        policy: Which head it is, and its settings.
        loss: Weights of further terms; they must be the head's, see `check_loss`.
        command: The commands (B,) [1/m] that the network gives besides, if it does.
        weights: Weights (B,) of the situations, 1 on average over the data; None weighs all alike.
    """
    head = HEADS[policy.head]

    def averaged(costs: Tensor) -> Tensor:
        return (costs if weights is None else weights * costs).mean()

    terms = {head.loss_name: averaged(head.loss(distribution, labels, policy))}
    terms |= {name: REGULARISERS[name](distribution, loss) for name in loss.weights}
    shares = {head.loss_name: 1.0} | loss.weights
    if command is not None:
        terms["command"] = averaged(((command - labels) / policy.max_curvature).square())
        shares["command"] = loss.command
    if "nll" in terms:
        nll = terms["nll"]
    else:
        with torch.no_grad():
            nll = averaged(-distribution.log_prob(labels))
    return LossParts(nll, terms, shares)


def _weight_norm(mixture: SteeringMixture | TruncatedMixture, loss: LossConfig) -> Tensor:
    """Mean L_p norm of the weights, by way of logarithms: for p below 1 the slope of phi^p has no bound at 0."""
    power = loss.weight_norm_power
    return (torch.logsumexp(power * mixture.log_weights, dim=-1) / power).exp().mean()


def _log_scale(mixture: SteeringMixture | TruncatedMixture, loss: LossConfig) -> Tensor:
    """Mean squared distance of the scales' logarithms from the target."""
    return (mixture.scales.log() - loss.log_scale_target).square().mean()


REGULARISERS: dict[str, Callable[..., Tensor]] = {"weight_norm": _weight_norm, "log_scale": _log_scale}
"""The further terms by name, each a function of a mixture and a LossConfig."""
