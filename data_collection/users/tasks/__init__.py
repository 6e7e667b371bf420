"""The tasks of a task user: each knows its goal, its next gesture and when it is done."""

from data_collection.users.tasks.kinds import BEFORE, EVERY_KIND, KINDS, begin
from data_collection.users.tasks.task import Task

__all__ = ["BEFORE", "EVERY_KIND", "KINDS", "Task", "begin"]
