"""Scenery of a town: meshes, textures and light of houses, trees, cars, street furniture and ground."""
