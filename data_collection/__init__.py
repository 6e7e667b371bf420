import os

# pygame greets on stdout, where commands print their result.
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
