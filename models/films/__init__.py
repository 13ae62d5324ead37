"""`films`: ten film ids for a user's history and the film page in view."""

from models.films.versions import COLUMNS as COLUMNS
from models.films.versions import FILMS as FILMS
