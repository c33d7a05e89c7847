"""Localisation: a posterior over the car's pose on the map, from its observations and its steering."""
