"""The profitability model: what margin will this client, engagement or sale bring?"""
