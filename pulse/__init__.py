"""The machinery behind the three numbered scripts, a module for each concern."""
