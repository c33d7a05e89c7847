"""PyBullet's window on a drive."""
