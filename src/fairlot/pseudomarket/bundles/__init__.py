"""Road C: general economies by bundle columns, exact answers, sets of equilibria, lotteries over bundles."""
