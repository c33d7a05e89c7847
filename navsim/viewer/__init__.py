"""The viewer: window, keys, replay of recorded drives, and films without a display."""
