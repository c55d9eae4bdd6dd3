"""The dispatcher: decides on every command, plans, schedules, and ends what is to end."""
