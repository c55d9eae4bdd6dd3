"""Everything that the api shows, as one reader: whoever reads `tables` from here has every handler registered."""

from outrider.api import (
    projections_accounts,
    projections_campaigns,
    projections_contacts,
    projections_corrections,
    projections_engagement,
    projections_enrollments,
    projections_outreaches,
    projections_sends,
    projections_suppressions,
    projections_webhooks,
)
from outrider.api.projection import tables

PARTS = (
    projections_accounts,
    projections_campaigns,
    projections_contacts,
    projections_corrections,
    projections_engagement,
    projections_enrollments,
    projections_outreaches,
    projections_sends,
    projections_suppressions,
    projections_webhooks,
)

__all__ = ["PARTS", "tables"]
