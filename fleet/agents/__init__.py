"""Agents, tools and the application that declares them."""
