"""Scripted users: a random explorer and a user that does tasks."""

from data_collection.users.explorer import Explorer
from data_collection.users.registry import USERS, UnknownUser, make_user
from data_collection.users.task import TaskUser
from data_collection.users.user import User

__all__ = ["USERS", "Explorer", "TaskUser", "UnknownUser", "User", "make_user"]
