"""The world: what can be seen and hit, the car, and the physics that moves it."""
