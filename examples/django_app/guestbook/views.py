import csv

from django.core.handlers.asgi import ASGIRequest
from django.forms import ModelForm
from django.http import FileResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from guestbook.models import Entry


class EntryForm(ModelForm):
    class Meta:
        model = Entry
        fields = ("name", "text", "file")


def book(request):
    """The entries, and the form for another one."""
    form = EntryForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("book")
    return render(request, "guestbook/book.html", {"form": form, "entries": Entry.objects.all()[:100]})


def download(request, entry):
    """The file of an entry; under WSGI the server sends it with sendfile(2)."""
    found = get_object_or_404(Entry, pk=entry)
    return FileResponse(found.file.open("rb"), as_attachment=True, filename=found.file.name)


class Echo:
    """A file that gives back what is written to it."""

    def write(self, text):
        return text


def export(request):
    """All entries as CSV, row by row, however many there are."""
    writer = csv.writer(Echo())

    def rows():
        yield writer.writerow(("name", "text"))
        for entry in Entry.objects.iterator():
            yield writer.writerow((entry.name, entry.text))

    async def rows_async():
        yield writer.writerow(("name", "text"))
        async for entry in Entry.objects.aiterator():
            yield writer.writerow((entry.name, entry.text))

    content = rows_async() if isinstance(request, ASGIRequest) else rows()
    return StreamingHttpResponse(content, content_type="text/csv")
