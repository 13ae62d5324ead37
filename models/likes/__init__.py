"""`likes`: will this user like this film, yes (1) or no (0)."""

from models.likes.versions import COLUMNS as COLUMNS
from models.likes.versions import LIKES as LIKES
