"""Scenarios, the simulation loop, the Gymnasium environment and the drivers that need no learning."""
