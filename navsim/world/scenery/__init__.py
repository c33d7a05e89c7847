"""What stands in a town and how it looks: meshes, textures, light."""
