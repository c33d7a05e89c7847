"""The commands of `navsim`: one function for each, which reads the command line, calls the packages and prints."""
