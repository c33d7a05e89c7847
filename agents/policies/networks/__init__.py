"""Networks: from observations to the features that a head reads."""
