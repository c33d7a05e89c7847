"""Policies: from observations to a distribution over steering."""
