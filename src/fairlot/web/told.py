"""Words that pages show but that are made elsewhere, named here so that catalogues have them.

States, roles and work are shown by their names; refusals of rounds and of the framework are shown as they
were raised. What is not named here, because it has numbers or names in it, is told in English.
"""

from __future__ import annotations


def marked(message: str) -> str:
    """Return a message as it is; that it stands in this call puts it into the catalogues."""
    return message


NAMES = (
    marked("draft"),
    marked("checked"),
    marked("open"),
    marked("frozen"),
    marked("solved"),
    marked("drawn"),
    marked("published"),
    marked("archived"),
    marked("pseudomarket"),
    marked("reallocation"),
    marked("owner"),
    marked("operator"),
    marked("auditor"),
    marked("waiting"),
    marked("running"),
    marked("done"),
    marked("failed"),
    marked("solve"),
    marked("value"),
    marked("design"),
    marked("reallocate"),
    marked("report"),
    marked("menus"),
    marked("two-price"),
    marked("bilateral"),
    marked("robust"),
    marked("past-picks"),
    marked("ok"),
    marked("warning"),
    marked("fault"),
    marked("agents"),
    marked("goods"),
    marked("people"),
    marked("seats"),
    marked("tasks"),
    marked("quotas"),
    marked("limits"),
    marked("agents with values"),
)
"""Of states, kinds, roles, work and its methods, and of what a check counts and finds."""

REFUSALS = (
    marked("This request cannot be read"),
    marked("Please sign in"),
    marked("Not allowed"),
    marked("There is nothing here"),
    marked("Not now"),
    marked("Too large"),
    marked("Please correct this"),
    marked("Too many requests"),
    marked("Something went wrong here"),
    marked("Not saved"),
    marked("Sign in first: open your link, or type your code."),
    marked("This form came from another site."),
    marked("This form is out of date. Go back, reload the page, and send it again."),
    marked("This form cannot be read."),
    marked("Too many requests; wait a minute."),
    marked("This takes an administrator's account."),
    marked("There is no such round."),
    marked("This link or code cannot be used: it has expired, was used before, or is not complete."),
    marked("Some of what was sent is missing or of the wrong kind."),
    marked("The fault is ours and was noted. Nothing of this request was saved."),
    marked("Only small files of text can be edited here; send this one again instead."),
    marked("There is no spreadsheet whose columns are to be understood; send one first."),
    marked("Everybody has chosen: there is nobody to remind."),
    marked("Nothing of this round is published yet."),
    marked("there is no such round"),
    marked("choosing is not possible now: the deadline has passed"),
    marked("choosing is not possible now: the round is frozen"),
    marked("choosing is not possible now: the round is solved"),
    marked("choosing is not possible now: the round is drawn"),
    marked("choosing is not possible now: the round is published"),
    marked("choosing is not possible now: the round is archived"),
    marked("choosing is not possible: this agent's data were erased"),
    marked("there is no such agent in this round"),
    marked("opening is not possible now: menus have not been designed"),
    marked("a title is one line of 1 to 300 characters"),
    marked("the deadline must be in the future, and within ten years"),
    marked("a round needs an owner: make somebody else one first"),
    marked("the ceremony has begun already"),
    marked("the ceremony has not begun: seals first"),
    marked("no round of drand was announced with the commitment"),
    marked("there is no seed: give one, or drand's signature, or hold a ceremony first"),
    marked("there is no result yet"),
    marked("the round is not frozen yet"),
)
"""What people are told when something is not possible."""
