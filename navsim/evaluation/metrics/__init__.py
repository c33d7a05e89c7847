"""Metrics of drives: pure functions over episodes."""
