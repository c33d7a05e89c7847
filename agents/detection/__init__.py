"""Object detection: cars, people and signs as boxes, learned from the simulator's own labels."""
