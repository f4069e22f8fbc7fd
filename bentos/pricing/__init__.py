"""The pricing model: what should we charge here?"""
