"""Policies: from senses to a distribution over steering."""
