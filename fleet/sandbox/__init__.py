"""What a routing model may say, and nothing more: text in, one typed action or a verdict out. Executes nothing."""

from __future__ import annotations

from fleet.sandbox.action import Action, DispatchTo, StartNewThread, parse_action
from fleet.sandbox.comments import comments_of
from fleet.sandbox.verdicts import VERDICTS

__all__ = ["VERDICTS", "Action", "DispatchTo", "StartNewThread", "comments_of", "parse_action"]
