"""A driving simulator and closed-loop harness: towns, physics, cameras, maps, recording, measuring."""

import gymnasium

gymnasium.register(
    "navsim/Town-v0",
    entry_point="navsim.simulation.environment:TownEnvironment",
    vector_entry_point="navsim.simulation.vector:TownVectorEnvironment",
)
