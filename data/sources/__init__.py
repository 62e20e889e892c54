"""The public sources. Each is one module of one shape:

    NAME           its name in `source` columns and, as --NAME, on the command line
    DESCRIPTION    one line for --help
    read(folder)   -> (records, dropped rows); FileNotFoundError or ValueError for another folder

Every row of the source's table comes back in one of the two lists. Adding a source is adding one
file, and its name below.
"""

from data.sources import covid_chestxray, rsna

SOURCES = {module.NAME: module for module in (covid_chestxray, rsna)}
