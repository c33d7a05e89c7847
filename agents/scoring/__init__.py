"""How far a policy's distributions can be trusted: proper scores, calibration, and their pictures."""
