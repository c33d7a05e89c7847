"""Distributions over steering: path curvature [1/m], positive to the left."""
