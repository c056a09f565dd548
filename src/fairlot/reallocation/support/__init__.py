"""Support functions of the large-market program: the best menu for one agent at given values of tasks."""
