"""Where is the car: a posterior over its pose on the map, from what it sees and how it is steered."""
