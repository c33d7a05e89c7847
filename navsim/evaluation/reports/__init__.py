"""Reports of evaluations: tables, plots and HTML pages."""
