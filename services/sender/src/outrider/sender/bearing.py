"""Bearing: the access tokens of one credential, as its SMTP log-in wants them."""

from dataclasses import dataclass, field
from uuid import UUID

from outrider.events.access_tokens import AccessTokens, GrantRefused, TokenDelayed
from outrider.events.telemetry import logger
from outrider.sender.smtp_login import REFUSED, LoginRefused
from outrider.sender.smtp_outcomes import Token
from outrider.sender.smtp_verdicts import Reply
from outrider.sender.smtp_wire import Lost

_log = logger(__name__)


@dataclass(frozen=True)
class Bearing:
    """A `Bearer`; two of one credential are equal, so that its connections are used again."""

    account: UUID
    credential: UUID
    tokens: AccessTokens = field(compare=False, repr=False)

    async def token(self, but_not: str = "") -> Token:
        """A token; a refused grant is a refused log-in, and a token server that is down a host that is."""
        try:
            found = await self.tokens.of(self.account, self.credential, but_not)
        except GrantRefused as refused:
            raise LoginRefused(Reply(REFUSED, f"5.7.8 {refused.words}")) from None
        except TokenDelayed as delayed:
            raise Lost(delayed.words) from None
        except Exception as error:  # a bug must not leave the message in doubt: nothing was begun
            _log.exception("token.bug", credential=str(self.credential))
            raise Lost("The access token cannot be had.") from error
        return Token(found.text, found.fresh)
