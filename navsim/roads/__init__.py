"""Roads: networks of lanes and junctions, procedural towns, and routes through them."""
