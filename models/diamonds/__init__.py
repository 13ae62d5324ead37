"""`diamonds`: the price of a stone in US dollars."""

from models.diamonds.versions import COLUMNS as COLUMNS
from models.diamonds.versions import DIAMONDS as DIAMONDS
from models.diamonds.versions import FIRST_FOR_SALE as FIRST_FOR_SALE
