"""What the windows of the scripted desktop hold."""
