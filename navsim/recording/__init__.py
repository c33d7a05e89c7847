"""Recorded drives: one immutable file per episode, data folders, and how they are collected."""
