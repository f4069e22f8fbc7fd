"""Months of the sample firm's life, to be played through a running platform.

What is asked on which day, what changes from a known date on, and what then really happens: the
same seed and days give the same requests, byte for byte. Nothing is asked from here.
"""
