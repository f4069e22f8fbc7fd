"""How should the marketing budget be split?"""
