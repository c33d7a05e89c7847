"""Learned policies as drivers."""
