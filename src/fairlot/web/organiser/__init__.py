"""The organiser's pages, from the first upload to the lists that are handed on."""

from fairlot.web.organiser.drawing import drawing_routes
from fairlot.web.organiser.files import file_routes
from fairlot.web.organiser.invitations import invitation_routes
from fairlot.web.organiser.menus import menu_routes
from fairlot.web.organiser.outcomes import outcome_routes
from fairlot.web.organiser.people import people_routes
from fairlot.web.organiser.rounds import round_routes
from fairlot.web.organiser.work import work_routes

organiser_routes = [
    *round_routes,
    *people_routes,
    *file_routes,
    *invitation_routes,
    *menu_routes,
    *work_routes,
    *drawing_routes,
    *outcome_routes,
]

__all__ = ["organiser_routes"]
