"""Object detection, learned from the simulator's own labels."""
