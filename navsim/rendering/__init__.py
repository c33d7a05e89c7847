"""Renderers of the car's cameras, behind one small interface."""
