"""Bearing: the access tokens of one credential, as its IMAP log-in wants them."""

from dataclasses import dataclass, field
from uuid import UUID

from outrider.events.access_tokens import AccessTokens, GrantRefused, TokenDelayed
from outrider.reply_watcher.imap_values import AuthFailed, Token, Unreachable


@dataclass(frozen=True)
class Bearing:
    """A `Bearer`; two of one credential are equal."""

    account: UUID
    credential: UUID
    tokens: AccessTokens = field(compare=False, repr=False)

    async def token(self, but_not: str = "") -> Token:
        """A token; a refused grant is a refused log-in, and a token server that is down a mailbox that is."""
        try:
            found = await self.tokens.of(self.account, self.credential, but_not)
        except GrantRefused as refused:
            raise AuthFailed(refused.words) from None
        except TokenDelayed as delayed:
            raise Unreachable(delayed.words) from None
        return Token(found.text, found.fresh)
