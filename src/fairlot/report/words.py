"""The checks of a result in plain words, by the names under which ``fairlot verify`` lists them."""

from __future__ import annotations

WORDS = {
    "manifest": "No file of the result was changed since it was written.",
    "input": "The problem that was read is the problem in this folder.",
    "summary": "The summary says what the files say.",
    "equilibrium: prices": "Prices are numbers of at least 0 and add up from those of goods and limits.",
    "equilibrium: quotas": "Nobody's expected bundle breaks one of her quotas.",
    "equilibrium: supply": "No more copies are given than there are, and no limit is exceeded.",
    "equilibrium: clearing": "What has a price is given away entirely.",
    "equilibrium: over-spending": "Nobody spends more than her budget.",
    "equilibrium: unspent money": "Nobody who wants more keeps money back.",
    "equilibrium: utility gap": "Nobody could afford a lottery she likes better.",
    "equilibrium: cheapness": "Nobody pays more than her lottery needs to cost.",
    "equilibrium: weighted welfare": "No other way of giving out the goods helps somebody and harms nobody.",
    "equilibrium: envy": "Nobody would rather have the lottery of another with the same budget.",
    "lottery: expectations": "The lottery has exactly the published expected copies.",
    "lottery: declared bounds": "Every outcome of the lottery respects every bound it declares.",
    "lottery: quotas": "Every outcome respects every quota.",
    "lottery: capacities": "Every outcome respects every capacity.",
    "lottery: limits": "Every outcome respects every limit.",
    "draw: commitment": "What the draw depends on was frozen before the seed was known.",
    "draw: frozen files": "The frozen files are those in this folder.",
    "draw: record": "Every draw, aborted ones included, is on record.",
    "draw: seed": "The seed is the one the record says.",
    "draw: assignment": "Repeating the draw from the seed gives this assignment, byte by byte.",
    "draw: bounds": "The drawn assignment rounds every expectation and respects every bound.",
    "draw: personal tables": "What people entered opens with their salts, as far as salts are there.",
}
"""A sentence for each check; checks without one stand by their name."""
