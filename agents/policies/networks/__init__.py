"""Networks: from senses to the features that a head reads."""
