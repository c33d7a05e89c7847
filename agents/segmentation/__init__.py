"""Semantic segmentation: what each pixel of the cameras' images shows, learned from the simulator's own labels."""
