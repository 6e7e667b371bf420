"""The tasks of a task user: each knows its goal, its next gesture and when it is done."""

from data_collection.users.tasks.kinds import BEFORE, KINDS, begin
from data_collection.users.tasks.task import Task

__all__ = ["BEFORE", "KINDS", "Task", "begin"]
