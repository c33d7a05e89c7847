"""Recorded drives: episode files, data folders, collection."""
