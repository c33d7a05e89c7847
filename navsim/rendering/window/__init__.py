"""PyBullet's window that shows a drive."""
