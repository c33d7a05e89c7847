"""Measurements of speed and memory, taken in one run so that they can be compared with each other."""
