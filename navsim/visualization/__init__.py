"""Pictures of drives as pure functions: dashboard, fans, plots, videos."""
