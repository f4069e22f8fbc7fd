"""Is this record, or this point of a series, unusual?"""
