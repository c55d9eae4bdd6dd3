"""The projection that decisions take their facts from: one reader, five groups of handlers."""

from outrider.dispatcher.projections_campaigns import campaigns
from outrider.dispatcher.projections_deliveries import deliveries
from outrider.dispatcher.projections_enrollments import enrollments
from outrider.dispatcher.projections_outreaches import outreaches
from outrider.dispatcher.projections_people import NAME, people
from outrider.events.projector import Projection

facts = Projection(NAME)
for part in (people, outreaches, campaigns, enrollments, deliveries):
    facts.join(part)
