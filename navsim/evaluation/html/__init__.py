"""Pages of results as single HTML files that need no network."""
