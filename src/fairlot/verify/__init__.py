"""Independent checks of claimed results; no solver and no optimisation library is imported here."""
