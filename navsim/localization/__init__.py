"""The filter of localisation: particles, their likelihoods and their motion. No torch."""
