"""How much of this will be asked for?"""
