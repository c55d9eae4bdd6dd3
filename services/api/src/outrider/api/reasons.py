"""Codes in words, wherever they are shown."""

from typing import Final

REASONS: Final = {
    "mx_invalid": "the domain takes no mail",
    "cross_campaign_duplicate": "the contact is enrolled in another campaign of this outreach",
    "unsubscribed": "the contact has unsubscribed",
    "bounced": "a message to the contact bounced for good",
    "suppressed": "the address is on the do-not-contact list",
    "already_enrolled": "the contact is enrolled in this campaign already",
}
"""Every kind of skip, in words."""
