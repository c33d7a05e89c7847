"""World: physics of the car, obstacles, and the scenery of a town."""
