"""The to-dos that events lead to: table of contents of the reader `dispatcher.todos.v1` (schema `dispatcher_work`)."""

from outrider.dispatcher.todos_commands import commanded
from outrider.dispatcher.todos_people import people
from outrider.dispatcher.todos_sending import NAME, sending
from outrider.events.projector import Projection

todos = Projection(NAME)
for part in (people, commanded, sending):
    todos.join(part)
