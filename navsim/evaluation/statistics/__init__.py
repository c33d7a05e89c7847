"""Intervals, paired differences and correlations."""
