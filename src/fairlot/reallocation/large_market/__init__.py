"""The large-market program: the best randomised mechanism when tasks need only be assigned in expectation."""
