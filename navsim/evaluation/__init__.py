"""Measuring drivers in closed loop: suites of routes, metrics, reports and pictures of drives."""
