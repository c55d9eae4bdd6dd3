"""What schemathesis is told beside its configuration; it reads this file as its hooks."""

from typing import Any

import schemathesis
from schemathesis import Case, HookContext
from schemathesis.specs.openapi.coverage._schema import UNKNOWN_PROPERTY_KEY


@schemathesis.hook
def filter_case(context: HookContext, case: Case[Any]) -> bool:
    """Whether the case is asked: not where all that is wrong with it is a header that no description names.

    Headers of any name are part of HTTP: proxies and clients add their own (RFC 9110, section 5.1).
    """
    del context
    return UNKNOWN_PROPERTY_KEY not in (case.headers or {})
