from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import path

from guestbook import views

urlpatterns = [
    path("", views.book, name="book"),
    path("download/<int:entry>", views.download, name="download"),
    path("entries.csv", views.export, name="export"),
    path("admin/", admin.site.urls),
    # For an example only: elsewhere a web server or WhiteNoise serves these.
    path("static/<path:path>", serve, {"insecure": True}),
]
