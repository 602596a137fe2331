"""The same, told by applications of Flask and Django; which of them is said by the path."""

from __future__ import annotations

import wsgi_applications
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path
from flask import Flask, request
from wsgi_applications import seen

by_flask = Flask(__name__)


@by_flask.get("/flask")
def home():
    return seen(request.environ, request.remote_addr)


settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=(path("django", lambda request: JsonResponse(told_by_django(request))),),
    SECRET_KEY="of the tests",
)
by_django = get_wsgi_application()


def told_by_django(request):
    return seen(request.META, request.META["REMOTE_ADDR"])


def app(environ, start_response):
    answering = {"/flask": by_flask, "/django": by_django, "/": wsgi_applications.app}
    return answering[environ["PATH_INFO"]](environ, start_response)
