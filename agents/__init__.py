"""Drivers that learn, and how they learn."""
