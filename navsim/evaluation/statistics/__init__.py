"""Shares, rates and means with their intervals, paired differences and correlations."""
