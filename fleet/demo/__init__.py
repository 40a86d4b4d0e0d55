"""The reference application: a small company's help desk, built from `from fleet import …` alone."""

from fleet.demo.agents import app
from fleet.demo.day import DAY, Line

__all__ = ["DAY", "Line", "app"]
