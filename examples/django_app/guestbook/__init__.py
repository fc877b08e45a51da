"""A guest book: entries with a name, a text and maybe a picture. Project and app in one package."""
