"""The to-dos that events lead to: table of contents of the reader `dispatcher.todos.v1` (schema `dispatcher_work`)."""

from outrider.dispatcher.todos_campaigns import campaigns
from outrider.dispatcher.todos_enrollments import enrollments
from outrider.dispatcher.todos_people import people
from outrider.dispatcher.todos_sending import NAME, sending
from outrider.events.projector import Projection

todos = Projection(NAME)
for part in (people, campaigns, enrollments, sending):
    todos.join(part)
