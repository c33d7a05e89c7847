"""How fast policies train, and what the hardware would allow."""
