"""Pictures of results: results in, matplotlib Axes out (extra ``plot``).

Every function draws into the Axes it is given, or makes one, and returns it. Axes carry labels and units;
colours are told apart without colour vision and in grey; pictures of three agents and of three thousand read.
"""

from fairlot.plot.distributions import plot_ranks, plot_utilities
from fairlot.plot.envy import plot_envy
from fairlot.plot.lotteries import plot_lottery, plot_terms
from fairlot.plot.markets import plot_prices, plot_shares, plot_supply
from fairlot.plot.menus import plot_menu, plot_menu_planes
from fairlot.plot.paths import plot_path
from fairlot.plot.studies import plot_limit, plot_replicas

__all__ = [
    "plot_envy",
    "plot_limit",
    "plot_lottery",
    "plot_menu",
    "plot_menu_planes",
    "plot_path",
    "plot_prices",
    "plot_ranks",
    "plot_replicas",
    "plot_shares",
    "plot_supply",
    "plot_terms",
    "plot_utilities",
]
