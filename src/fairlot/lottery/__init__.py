"""From expected copies to one integer assignment: lotteries, draws and decompositions."""

from fairlot.lottery.build import lottery_from_shares, market_lottery
from fairlot.lottery.cells import CellSet
from fairlot.lottery.decomposition import decompose
from fairlot.lottery.exact import Repair, repair_report
from fairlot.lottery.guarantee import UtilityGuarantee, utility_guarantee
from fairlot.lottery.sampling import sample
from fairlot.lottery.walk import draw_walk
from fairlot.model.lotteries import Assignment, Decomposition, Lottery

__all__ = [
    "Assignment",
    "CellSet",
    "Decomposition",
    "Lottery",
    "Repair",
    "UtilityGuarantee",
    "decompose",
    "draw_walk",
    "lottery_from_shares",
    "market_lottery",
    "repair_report",
    "sample",
    "utility_guarantee",
]
