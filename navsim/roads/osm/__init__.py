"""Towns from OpenStreetMap extracts."""
