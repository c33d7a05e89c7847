"""Pictures of drives: dashboard, steering plots, contact sheets, videos."""
