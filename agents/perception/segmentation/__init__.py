"""Semantic segmentation, learned from the simulator's own labels."""
