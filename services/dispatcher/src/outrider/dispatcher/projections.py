"""The projection that decisions take their facts from: one reader, three groups of handlers."""

from outrider.dispatcher.projections_campaigns import campaigns
from outrider.dispatcher.projections_deliveries import deliveries
from outrider.dispatcher.projections_people import NAME, people
from outrider.events.projector import Projection

facts = Projection(NAME)
for part in (people, campaigns, deliveries):
    facts.handlers.update(part.handlers)
