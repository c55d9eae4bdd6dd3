"""Does a person ask, in words, not to be written to. Pure; strict, for a reply must never be taken for it."""

import re
from typing import Final

_LONGEST: Final = 300
"""Characters of own words: who wants to be left alone is brief, and a longer mail may speak of it in passing."""

_EDGES: Final = re.compile(r"^\W+|\W+$")
_WHOLE: Final = re.compile(
    r"(please |bitte |por favor,? |s'il vous plaît,? |per favore,? |proszę |alsjeblieft |graag )?("
    r"stop|unsubscribe( me)?|remove( me)?|opt[ -]?out|take me off|no more (e-?)?mails?|leave me alone|"
    r"abmelden|abbestellen|austragen|stopp|keine (weiteren )?(e-?)?mails( mehr)?|"
    r"désabonne(r|z)(-moi)?|désinscri(re|vez)(-moi)?|arrêtez|"
    r"cancelar( suscripción)?|darme de baja|baja|descadastrar|cancelar( inscrição)?|remover|"
    r"cancellami|disiscri(vimi|zione)|annulla iscrizione|"
    r"uitschrijven|afmelden|wypisz(cie)?( mnie)?|wypisać|rezygnuję|"
    r"配信停止|配信停止(を)?(希望(します)?|してください|お願いします)|停止|退订|取消订阅|请勿再发"
    r")( please| bitte| por favor| svp| s'il vous plaît| per favore| proszę| graag| thanks?| thank you| danke| merci|"
    r" gracias)*",
    re.IGNORECASE,
)
_SENTENCE: Final = re.compile(
    r"(?:^|[.!?,;:。\n]\s*)(?:(?:please|kindly|hi|hello|dear \S+|pls|can you|could you|would you|i (?:would like|"
    r"want) (?:you )?to|"
    r"bitte|merci de|veuillez|por favor|per favore|proszę|graag|gelieve)[,:]?\s+(?:please\s+)?)*(?:"
    r"(?:remove|delete|take) (?:me|my (?:e-?mail|address|name|e-?mail address)|this (?:e-?mail|address)) (?:off|"
    r"from) (?:your|this|the|any|all)\b"
    r"(?: \S+){0,3} (?:list|database|lists|mailings?|records)|"
    r"unsubscribe me\b|opt me out\b|stop (?:e-?mailing|contacting|writing(?: to)?|spamming|messaging|"
    r"sending)(?: to)? (?:me|us)\b|"
    r"(?:do not|don.?t|never) (?:e-?mail|contact|write(?: to)?|message) (?:me|us) (?:again|any ?more|any longer|"
    r"ever)|"
    r"(?:streichen|nehmen|löschen|entfernen) sie (?:mich|meine)(?: \S+){0,5} (?:liste|verteiler|datenbank)|"
    r"(?:schreiben|senden|schicken|kontaktieren) sie mi(?:r|ch) (?:bitte )?(?:nicht mehr|"
    r"keine (?:weiteren )?(?:e-?)?mails)|"
    r"(?:ne (?:plus|pas) |ne m['\u2019]|cessez de )(?:me |m['\u2019])?(?:contacte|écri|envoy)\w*|(?:retirez|supprimez|"
    r"désabonnez)-moi\b|"
    r"(?:elimínenme|bórrenme|quítenme|dejen de (?:escribir|enviar|contactar)\w*|no me (?:escriban|contacten|"
    r"envíen) más)|"
    r"(?:removam?-me|parem? de (?:enviar|escrever|contactar)|não (?:me )?(?:envie|escreva|"
    r"contacte)m?(?: \S+){0,2} mais)|"
    r"(?:cancellatemi|rimuovetemi|toglietemi|non (?:scrivetemi|contattatemi|inviatemi) più|"
    r"smettete di (?:scrivermi|contattarmi))|"
    r"(?:verwijder|schrijf|haal) (?:mij|me|mijn)(?: \S+){0,4} (?:uit|van|lijst)|(?:stuur|mail|schrijf) (?:mij|"
    r"me) (?:niet|geen)(?: \S+){0,3} meer|"
    r"(?:usuń|wypisz|wykreśl)(?:cie)? mnie\b|nie (?:pisz|kontaktuj|wysyłaj)(?:cie)?(?: \S+){0,3} więcej|"
    r"(?:今後|以後).{0,10}(?:メール|連絡).{0,10}(?:不要|送らないで|やめて|しないで)|(?:メール|配信).{0,6}停止(?:して|を)|请(?:不要|勿)再(?:给我)?(?:发|联系)|"
    r"(?:把我|将我).{0,8}(?:移除|删除)"
    r")",
    re.IGNORECASE,
)


def opts_out(words: str) -> bool:
    """Answer whether these own words of a reply ask to be left alone."""
    plain = " ".join(words.split())
    if not plain or len(plain) > _LONGEST:
        return False
    return bool(_WHOLE.fullmatch(_EDGES.sub("", plain))) or bool(_SENTENCE.search(plain))
