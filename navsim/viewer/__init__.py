"""Watching drives: the window, its keys, replay and offscreen recording."""
