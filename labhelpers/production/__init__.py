"""A model outside the notebook: served, loaded, watched, compared. Weeks 3 and 4 and the production path build here."""
