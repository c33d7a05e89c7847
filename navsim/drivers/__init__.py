"""What drives a car: the `Driver` protocol and everything around it."""
