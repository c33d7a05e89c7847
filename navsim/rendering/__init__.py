"""Pictures of the world through the cameras of the car, behind one small interface."""
