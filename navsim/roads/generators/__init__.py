"""Generators of procedural towns: each name is a seed."""
