"""Drivers that run learned policies."""
