"""Studies: several ways to learn, on the same data and budget, side by side in one table."""
