"""Refusals as pages."""

from __future__ import annotations

from aiohttp import web

from appserver.api.problems import Problem
from appserver.web.i18n import N_
from appserver.web.render import page, text

_TITLES = {
    401: N_("Sign in again"),
    403: N_("Not allowed"),
    404: N_("Not found"),
    405: N_("This does not work here"),
    409: N_("Conflict"),
    413: N_("Too large"),
    421: N_("Unknown host name"),
    422: N_("Something is wrong in the form"),
    429: N_("Too many attempts"),
    500: N_("Something went wrong here"),
    503: N_("Not available now"),
}


def problem_page(request: web.Request, problem: Problem) -> web.Response:
    """A page, or a notice for htmx, that says what happened."""
    title = _TITLES.get(problem.status, _TITLES[422])
    if request.headers.get("HX-Request"):
        body = text(request, "notice.html", title=title, problem=problem)
        response = web.Response(text=body, status=problem.status, content_type="text/html")
        response.headers["HX-Retarget"] = "#notices"
        response.headers["HX-Reswap"] = "innerHTML"
    else:
        response = page(request, "error.html", status=problem.status, title=title, problem=problem)
    response.headers.update(problem.headers)
    return response
