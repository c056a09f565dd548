"""The web application: organisers and agents in a browser. Parses, calls :mod:`fairlot.rounds`, renders."""
