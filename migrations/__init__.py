"""How the tables of the records came to be, one step a file; run by ``septet migrate``."""
