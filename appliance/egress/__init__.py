"""The only way out: a broker that opens connections to addresses which an admin has allowed by name.

Nothing here knows keys, databases or settings: what talks to the internet could not read the data.
"""
