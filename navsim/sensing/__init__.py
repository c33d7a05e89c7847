"""Sensors of the car: cameras, road maps, GPS with drift, and their faults."""
