"""Does a person ask, in words, not to be written to. Pure; strict, for a reply must never be taken for it."""

import re
from typing import Final

_LONGEST: Final = 300
"""Characters of own words: who wants to be left alone is brief, and a longer mail may speak of it in passing."""

_EDGES: Final = re.compile(r"^\W+|\W+$")
_WHOLE: Final = re.compile(
    r"(please |bitte |por favor,? |s'il vous plaît,? |per favore,? |proszę |alsjeblieft |graag )?"
    r"(quiero |deseo |quero |desejo |vorrei |voglio |je (veux|souhaite) |ich möchte |ik wil |"
    r"chcę |i (want|wish) to |i.?d like to |i would like to )?("
    r"stop|unsubscribe( me)?|remove( me)?|opt[ -]?out|take me off|no more (e-?)?mails?|leave me alone|"
    r"abmelden|abbestellen|austragen|stopp|keine (weiteren )?(e-?)?mails( mehr)?|"
    r"me désinscrire|me désabonner|désinscription|désabonnement|désabonne(r|z)(-moi)?|"
    r"désinscri(re|vez)(-moi)?|arrêtez|"
    r"cancelar( (la |mi )?suscripción)?|darme de baja|baja|descadastrar|cancelar (a |minha )?inscrição|remover|"
    r"cancellami|disiscri(vimi|zione)|annulla iscrizione|"
    r"uitschrijven|afmelden|wypisz(cie)?( mnie)?|wypisać|rezygnuję|"
    r"配信停止|配信停止(を)?(希望(します)?|してください|お願いします)|停止|退订|取消订阅|请勿再发"
    r")( please| bitte| por favor| svp| s'il vous plaît| per favore| proszę| graag| thanks?| thank you| danke| merci|"
    r" gracias)*",
    re.IGNORECASE,
)
_BEGIN: Final = (
    r"(?:^|[.!?,;:。!,\n]\s*)(?:(?:please|kindly|hi|hello|thanks|no thanks|sorry|dear \S+|pls|can you|could you|"
    r"would you|but|and|i (?:would like|want) (?:you )?to|bitte|merci de|veuillez|prière de|"
    r"je (?:veux|souhaite|voudrais)|por favor|per favore|vi (?:prego|chiedo) di|proszę(?: o)?|graag|gelieve|请)"
    r"[,:]?\s*(?:please\s+)?)*"
)
_MAIL: Final = (
    r"(?:e-?mails?|mails?|messages?|messaggi|mensajes|mensagens|correos?|courriels|nachrichten|newsletters?|"
    r"werbung|publicidad|berichten|comunicazioni|maili|e-?maili|wiadomości)\b"
)
_LISTS: Final = r"(?:(?<!waiting )(?<!guest )lists?\b(?! of)|data ?base|mailings?|records)"
_LANGUAGES: Final = (
    # English
    (
        rf"(?:remove|delete|take) (?:me|us|my (?:e-?mail address|e-?mail|address|name)|this"
        rf" (?:e-?mail|address)) (?:off|from) "
        rf"(?:of )?(?:your|this|the|any|all)\b(?: \S+){{0,3}}? {_LISTS}|remove me\W*$|please unsubscribe\W*$|"
        r"stop sending (?:(?:me|us|these|your|any|more) ){0,2}(?:e-?mails?|mails?|messages?)\b|"
        r"unsubscribe me\b|opt me out\b|stop (?:e-?mailing|contacting|writing(?: to)?|spamming|messaging|"
        r"sending)(?: to)? (?:me|us)\b|"
        r"(?:do not|don.?t|never) (?:e-?mail|contact|write(?: to)?|message) (?:me|us)"
        r" (?:again|any ?more|any longer|ever)|"
        rf"(?:i|we) (?:no longer (?:wish|want)|do(?: not|n.t) (?:want|wish)) to (?:receive|"
        rf"get)(?: \S+){{0,3}}? {_MAIL}"
    ),
    # German
    (
        r"(?:streichen|nehmen|löschen|entfernen) sie (?:mich|meine)(?: \S+){0,5} (?:liste|verteiler|datenbank)|"
        r"tragen sie mich(?: bitte)? aus\b|keine (?:weiteren )?(?:e-?)?mails(?: mehr)?\W*$|"
        r"(?:schreiben|kontaktieren) sie mi(?:r|ch) (?:bitte )?nicht mehr\b|"
        r"(?:schreiben|senden|schicken) sie mir (?:bitte )?keine (?:weiteren )?(?:e-?)?mails|"
        rf"(?:ich|wir) (?:möchten?|wollen|will|wünschen?)(?: \S+){{0,3}}? keine (?:weiteren )?{_MAIL}"
    ),
    # French
    (
        r"ne plus (?:me |m['\u2019])(?:contacte|écri|envo)\w*|"
        r"ne m(?:e |['\u2019])(?:contacte|écri)\w*(?: \S+){0,2} plus\b|ne"
        r" m['\u2019]envo\w* plus (?:de |d['\u2019])\S*mails?|"
        r"cessez de m(?:e |['\u2019])(?:contacte|écri|envo)\w*|(?:retirez|supprimez|désabonnez|désinscrivez)-moi\b|"
        r"(?:me (?:retirer|désinscrire|désabonner|supprimer|enlever|radier)|(?:supprime[rz]|"
        r"retire[rz]|enleve[rz]) mon "
        r"(?:adresse|e-?mail|nom))(?: \S+){0,2} d\w+(?: \S+){1,3}? (?:liste|base|envois|fichiers?)|"
        rf"(?:je|nous) ne (?:souhait|veux|voul|désir)\w* (?:plus|pas) recevoir(?: \S+){{0,2}}? {_MAIL}"
    ),
    # Spanish
    (
        r"(?:elim[ií]nen?me|b[oó]rren?me|qu[ií]ten?me|s[aá]quen?me) de(?: \S+){0,2} (?:lista|base)|"
        r"dejen? de (?:escribir|enviar|contactar)(?:me|nos)\b|dejen? de enviar \S*(?:correo|mail)\w*|"
        r"no me (?:escriban?|contacten?) más|no me env[ií]en? más(?: \S+)?"
        r" ?(?:e-?mails|correos(?! postal)|mensajes|nada)|"
        rf"no (?:deseo|quiero) recibir(?: \S+){{0,2}}? {_MAIL}"
    ),
    # Portuguese
    (
        r"(?:retirem?|removam?|remover|excluam?) (?:o )?meu (?:e-?mail|endereço|nome|contato)(?: \S+){1,3} listas?|"
        r"removam?-me\b|parem? de (?:me )?(?:escrever|contactar)|parem? de (?:me )?enviar \S*mails?|"
        r"não (?:me )?(?:escrev|contact)\w+ mais|não (?:me )?envie\w* mais(?: \S+)? ?(?:e-?mails|mensagens|nada)|"
        rf"não (?:quero|desejo) receber(?: \S+){{0,2}}? {_MAIL}"
    ),
    # Italian
    (
        r"(?:rimuover|cancellar|toglier)mi da\S*(?: \S+){0,2} (?:lista|liste|mailing|elenco)|"
        r"(?:cancellate|rimuovete|eliminate) (?:il mio|la mia) (?:indirizzo|e-?mail|nome)"
        r" da\S*(?: \S+)? (?:lista|elenco)|"
        r"(?:cancellate|rimuovete|togliete|cancella|rimuovi)mi\b|non (?:scrivetemi|"
        r"contattatemi) più|non inviatemi più \S*mail|"
        r"smettete di (?:scrivermi|contattarmi)|"
        rf"non (?:voglio|desidero) (?:più )?ricevere(?: \S+){{0,2}}? {_MAIL}"
    ),
    # Dutch
    (
        r"mij (?:uit te schrijven|af te melden|te verwijderen)|schrijf (?:mij|me) uit\b|"
        r"(?:verwijder|haal) (?:mij|me|mijn (?:adres|naam|e-?mail\w*))(?: \S+){0,4} \S*(?:lijst|bestand|database)|"
        r"(?:stuur|mail|schrijf) (?:mij|me) (?:niet|geen (?:e-?)?mails?|niets|geen berichten)(?: \S+)? meer|"
        rf"ik (?:wil|wens) geen(?: \S+){{0,2}}? {_MAIL}(?: \S+){{0,2}} (?:ontvangen|krijgen)"
    ),
    # Polish
    (
        r"(?:usuń|wypisz|wykreśl)(?:cie)? mnie\b|nie (?:pisz|kontaktuj)(?:cie)?(?: się)?(?: \S+){0,2} więcej|"
        r"(?:mnie )?(?:usunąć|wypisać|wykreślić|usunięcie)(?: mnie| mojego (?:adresu|e-?maila))?"
        r" z(?: \S+){0,2} (?:list|baz)\w*|"
        rf"nie (?:chcę|życzę sobie)(?: \S+){{0,2}}? otrzymywać(?: \S+){{0,2}}? {_MAIL}"
    ),
    # Japanese
    (
        r"(?:今後|以後).{0,10}(?:メール|連絡).{0,10}(?:不要|送らないで|やめて|しないで)|"
        r"(?:メール|配信).{0,6}停止(?:して(?:くだ|下|ほし|欲し)|を(?:お願い|希望))|"
        r"(?:リスト|名簿|宛先).{0,6}(?:削除|外)(?:して(?:くだ|下|ほし|欲し)|を(?:お願い|希望))"
    ),
    # Chinese
    (
        r"(?:不要|请勿|别|勿)再(?:给我|向我)(?:们)?发(?:送)?|(?:不要|请勿|别|勿)再联系|勿再发(?=送|邮|信|$|\W)|停止(?:给我)?发(?:送)?(?=邮|信|消)|"
        r"不(?:想|希望)再(?:收到|接收).{0,8}(?:邮件|信息|消息)|(?:把我|将我).{0,12}?(?:移除|删除)"
    ),
)
_SENTENCE: Final = re.compile(_BEGIN + "(?:" + "|".join(_LANGUAGES) + ")", re.IGNORECASE)
_TAIL: Final = re.compile(
    r"(?:\W|\d|\b(?:"
    r"please|kindly|thanks?|thank you|regards|best|kind|again|any ?more|any longer|ever|at all|"
    r"me|us|from|of|off|in|to|by|"
    r"your|this|these|those|such|the|all|any|and thanks|future|immediately|now|today|e-?mails?|"
    r"mails?|messages?|mailings?|"
    r"lists?|database|newsletters?|company|"
    r"bitte|danke|vielen dank|gru(?:ß|ss)|grü(?:ß|ss)e|freundliche\w*|mehr|mit|von|aus|ihnen|"
    r"ihrer|ihrem|ihre|der|dem|"
    r"liste|verteiler|datenbank|erhalten|bekommen|sofort|zu|"
    r"merci|cordialement|svp|s.il vous plaît|plus|de|des|du|d|la|le|les|votre|vos|cette|diffusion|courriels|envois|"
    r"gracias|saludos|por favor|más|su|sus|el|los|lista|base|datos|correos?|electrónicos?|envíos|ustedes|"
    r"obrigad[oa]|cumprimentos|mais|vossa|vosso|sua|seus?|da|das|do|dos|nada|"
    r"grazie|saluti|cordiali|più|dalla|dalle|vostr[aeio]|voi|posta|indirizzi|dei|dati|"
    r"bedankt|dank u?|groeten?|graag|uw|jullie|u|van|ontvangen|krijgen|lijst|bestand|aub|a\.?u\.?b|meer|"
    r"dziękuję|pozdrawiam|proszę|więcej|waszej|państwa|z|od|listy|bazy|danych|mailingow\w+|mailingu|maili"
    r")\b|[请谢了吧您你们的邮件信息消任何给我中从]|(?:て|ください|下さい|お願い|致します|いたします|です|ます|ません|よう|くだ|さい|ほしい|欲しい|不要|しないで|送らない|で|希望|し|ま|す))*+"
    r"(?-i:[A-ZÀ-Ž][\w'-]{1,20}[\s.]*){0,2}",
    re.IGNORECASE,
)
"""All that may follow: with other words behind it (until, but, to this address) it is another wish."""


def opts_out(words: str) -> bool:
    """Answer whether these own words of a reply ask to be left alone."""
    plain = " ".join(words.split())
    if not plain or len(plain) > _LONGEST:
        return False
    asked = _SENTENCE.search(plain)
    return bool(_WHOLE.fullmatch(_EDGES.sub("", plain))) or bool(asked and _TAIL.fullmatch(plain, asked.end()))
