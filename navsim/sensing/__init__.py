"""What the car senses: cameras, road maps, a drifting position fix."""
