"""Will this client leave within the horizon?"""
