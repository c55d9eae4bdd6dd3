"""How mail systems write, in words: the patterns by which a report without RFC 3464's form is known and read."""

import re
from typing import Final

DAEMON: Final = re.compile(
    r"(mailer|mail|m|double)?[-_.]?daemon\d*|post[-_]?master|mail(er)?[-_.]?deliver[\w.]*|double-bounce|bounces?|"
    r"mdaemon|mailadm\w*|(mail)?-?administrator|"
    r"mmdf|uucp|smtp|network|nobody|root",
    re.IGNORECASE,
)
DAEMON_NAME: Final = re.compile(
    r"mail(er)?[- ]?(delivery|daemon|administrat\w*|system)|deliver\w* (sub)?system|postmaster|system administrator|"
    r"internet mail delivery|mail router",
    re.IGNORECASE,
)
SUBJECT: Final = re.compile(
    r"undeliver|unable to deliver|(mail|message|delivery|e-?mail)( \S+){0,3} (fail|error|problem|delay|return|"
    r"status|could not|not deliver|undeliver)|"
    r"deliver(y|ing) (fail|status|notif|problem|report|delay|error|has failed|incomplete|has been)|fail\w* (mail|"
    r"deliver|notice|to deliver)|failure notice|"
    r"return(ed|ing) (mail|message|to sender)|(mail|message)( system)? (error|delivery|not delivered)|non-?deliver|"
    r"not delivered|could ?n.t (be )?(deliver|send)|"
    r"could not (be )?(deliver|send)|unzustellbar|nicht zugestellt|non (remis|distribu)|no (entregado|se (pudo|"
    r"ha podido) entregar)|não entregue|"
    r"mancat[ao] (consegna|recapito)|niet (bezorgd|afgeleverd)|nie(dostarczon|doręczon)|"
    r"宛先不明|配信(不能|でき|エラー)|退信|未送达|"
    r"bounce|nondeliverable|"
    r"user unknown|email (address|delivery)|dsn:",
    re.IGNORECASE,
)
FAILED: Final = re.compile(
    r"undeliver|could ?n.t be (delivered|sent)|could not be (delivered|sent)|(can|could) ?not (be )?(deliver|send)|"
    r"was not delivered|not been delivered|unable to deliver|"
    r"delivery (to|of)?.{0,80}fail|fail\w*( \S+){0,4} (deliver|recipient)|delivery (error|problem|failure)|"
    r"permanent (fatal )?(error|failure)|returned mail|"
    r"has been returned|fatal errors|following (address|recipient)|not deliver|user unknown|unknown user|"
    r"unzustellbar|did not reach|nicht zugestellt|"
    r"ended abnormally|was rejected|been rejected|error (was|occurred)|undelivered|problem delivering|"
    r"returning message|not possible to deliver|\b55[0-4]\b",
    re.IGNORECASE,
)
DELAYED: Final = re.compile(
    r"delivery (is |has been |was )?delay|has been delayed|(will|is) (continue|keep|be|still)( \S+){0,3} (retr|try|"
    r"attempt|deliver)|do not need to resend|"
    r"warning message only|still (being )?(retr|try)|this is (only )?a warning|not yet been delivered|"
    r"temporary problem delivering|delay\w* mail",
    re.IGNORECASE,
)
FINAL: Final = re.compile(
    r"(?<!not )(permanent|giving up|gave up|failed|has expired|returned|rejected|"
    r"will not be)",
    re.IGNORECASE,
)
COPY: Final = re.compile(
    r"^[ >\t]{0,20}[-=]{0,80}.{0,30}(copy of (the|your) message|original (message|mail)|returned (message|mail)|"
    r"message (header|text|follow|content)s?|"
    r"unsent message|undelivered message|below this line is|forwarded message|headers? of the (original|message)|"
    r"your message (reads|was|follows)|"
    r"received: (from|by) |return-path: ?<).{0,80}$",
    re.IGNORECASE | re.MULTILINE,
)
ANSWERING: Final = re.compile(r"\s*(re|fwd?|aw|wg|sv|rv|tr)\s*:", re.IGNORECASE)
FAILED_ON_LINE: Final = re.compile(
    r"^\W{0,12}(?:to:? |rcpt to: ?|recipient:? |"
    r"user:? )?<?([^\s<>()\"',;]+@[^\s<>()\"',;:]+)>?",
    re.IGNORECASE,
)
CODE: Final = re.compile(r"(?<![\d.:])[45]\d\d[ -]|(?<![\d.])[45]\.\d{1,2}\.\d{1,3}(?![.\d])")
AFTER_DATA: Final = re.compile(
    r">>> (DATA|\.)\s+<<< 550(?!.*(recipient|rcpt))|end of data|(reply to|after|"
    r"for) (end of )?(DATA|TEXT) command|SMTP transmission failure",
    re.IGNORECASE,
)
AT_MAIL: Final = re.compile(r"(after|reply to) MAIL FROM|>>> MAIL [^\n]*\n\s*<<< 5", re.IGNORECASE)
"""What was refused was the sender's address: the recipient had not been named."""
AT_CONNECT: Final = re.compile(
    r"refused\s+to\s+talk\s+to\s+me|(reply to|after|in) (initial connection|HELO|EHLO)", re.IGNORECASE
)
PIPED: Final = re.compile(
    r"^\s*pipe to \||command output:|command died|local delivery program|X-UNIX;|"
    r"mailer .{1,80} (exited|died)|can't (create|open) output",
    re.IGNORECASE | re.MULTILINE,
)
"""A program at the recipient's, to which the mail was handed, failed."""
NOT_DELIVERED_TO: Final = re.compile(
    r"[^>|]{0,160}?(could ?n.t|could not|cannot|can ?not|was not|pu) "
    r"(be |etre |être )?(delivered|d[eé]livr\w+) (to|[aà])"
    r"( the)?( following)?( (user|recipient|address)\w*)?:?\s+\W{0,3}[^\s@]{1,64}@",
    re.IGNORECASE | re.DOTALL,
)
"""Said at once, of an address: how a mail system begins that hides what it is."""
