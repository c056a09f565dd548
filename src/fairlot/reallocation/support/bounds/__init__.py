"""Upper bounds on support functions: branch and bound over the complete parametrisation."""
