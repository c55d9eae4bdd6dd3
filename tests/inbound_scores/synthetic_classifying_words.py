"""What automatic replies, opt-outs and people say in ten languages: our own words."""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Language(NamedTuple):
    """What one language says."""

    automatic: str
    """The prefix that Exchange and Outlook.com put before the subject."""
    subject: str
    away: tuple[str, ...]
    """Texts of an absence, {day} where the day of return stands."""
    days: tuple[str, ...]
    """How the language writes 4 December 2026."""
    undated: str
    opt_outs: tuple[str, ...]
    people: tuple[str, ...]
    """Replies of people: dates, absences and wishes in passing."""


LANGUAGES: Final[Mapping[str, Language]] = {
    "en": Language(
        "Automatic reply",
        "Your invoices",
        (
            "Thank you for your message. I am out of the office and will be back on {day}.",
            "Hello, I am on annual leave until {day} with no access to e-mail.",
            "I'm currently away, returning {day}. In urgent cases call my colleague.",
        ),
        ("4 December 2026", "December 4, 2026", "Friday, December 4th", "Dec 4", "2026-12-04", "the 4th of December"),
        "I am out of the office at the moment and will answer as soon as I can.",
        (
            "Please remove me from your mailing list.",
            "STOP",
            "Unsubscribe me, please.",
            "Take me off your list.",
            "Please stop emailing me.",
            "Do not contact me again.",
        ),
        (
            "Sure, let us talk on 4 December. I am out of the office until then.",
            "We could stop the old contract and remove the second licence. What would that cost?",
            "My colleague is out of office this week, but I can answer: yes, please send the offer.",
            "Could you tell me how people unsubscribe from your service?",
        ),
    ),
    "de": Language(
        "Automatische Antwort",
        "Ihre Rechnungen",
        (
            "Vielen Dank für Ihre Nachricht. Ich bin bis zum {day} nicht im Büro.",
            "Ich bin im Urlaub und ab dem {day} wieder erreichbar.",
            "Guten Tag, ich bin derzeit abwesend und kehre am {day} zurück.",
        ),
        ("4. Dezember 2026", "04.12.2026", "4.12.", "04.12.26", "Freitag, 4. Dezember"),
        "Ich bin derzeit nicht im Büro. Ihre Nachricht wird nicht weitergeleitet.",
        (
            "Bitte nehmen Sie mich aus dem Verteiler.",
            "Bitte keine weiteren E-Mails.",
            "Abmelden",
            "Streichen Sie mich von Ihrer Liste.",
            "Schreiben Sie mir nicht mehr.",
            "Bitte löschen Sie meine Adresse aus Ihrer Datenbank.",
        ),
        (
            "Gern, wir sprechen am 4. Dezember. Bis dahin bin ich nicht im Büro.",
            "Wir wollen das alte System stoppen und die Lizenz entfernen. Was kostet das?",
            "Mein Kollege ist im Urlaub, aber ich antworte gern: bitte schicken Sie das Angebot.",
            "Wie kann man sich bei Ihnen abmelden?",
        ),
    ),
    "fr": Language(
        "Réponse automatique",
        "Vos factures",
        (
            "Bonjour, je suis absent du bureau jusqu'au {day}.",
            "Je suis en congé et serai de retour le {day}.",
            "Merci de votre message. Je suis en déplacement, retour le {day}.",
        ),
        ("4 décembre 2026", "04/12/2026", "vendredi 4 décembre", "4 déc."),
        "Je suis actuellement absente du bureau.",
        (
            "Merci de me retirer de votre liste.",
            "Désabonnez-moi.",
            "Ne me contactez plus.",
            "Veuillez me désinscrire de votre liste.",
            "Ne m'écrivez plus.",
            "Retirez-moi de vos envois.",
        ),
        (
            "Volontiers, parlons-en le 4 décembre. Je suis absent jusque-là.",
            "Nous voulons arrêter l'ancien contrat et retirer une licence. Quel est le prix ?",
            "Mon collègue est en congé, mais oui, envoyez l'offre.",
            "Comment peut-on se désabonner de votre service ?",
        ),
    ),
    "es": Language(
        "Respuesta automática",
        "Sus facturas",
        (
            "Estaré fuera de la oficina hasta el {day}.",
            "Gracias por su mensaje. Estoy de vacaciones y vuelvo el {day}.",
            "Me encuentro ausente y regresaré el {day}.",
        ),
        ("4 de diciembre de 2026", "04/12/2026", "viernes 4 de diciembre", "4 de diciembre"),
        "Actualmente estoy fuera de la oficina.",
        (
            "Por favor, elimínenme de su lista.",
            "No me escriban más.",
            "Quiero darme de baja.",
            "Dejen de enviarme correos.",
            "Baja",
            "Por favor, bórreme de su lista.",
        ),
        (
            "Claro, hablamos el 4 de diciembre. Estoy fuera hasta entonces.",
            "Queremos parar el contrato antiguo y eliminar una licencia. ¿Cuánto cuesta?",
            "Mi colega está de vacaciones, pero sí, envíe la oferta.",
            "¿Cómo se da uno de baja de su servicio?",
        ),
    ),
    "pt": Language(
        "Resposta automática",
        "As suas faturas",
        (
            "Estou fora do escritório até {day}.",
            "Obrigado pela mensagem. Estou de férias e volto em {day}.",
            "Encontro-me ausente, regresso a {day}.",
        ),
        ("4 de dezembro de 2026", "04/12/2026", "4 de dezembro"),
        "De momento estou ausente do escritório.",
        (
            "Por favor, removam-me da vossa lista.",
            "Não me envie mais e-mails.",
            "Descadastrar",
            "Parem de enviar e-mails.",
            "Quero cancelar a inscrição.",
            "Por favor, retire meu e-mail da lista.",
        ),
        (
            "Claro, falamos a 4 de dezembro. Estou fora até lá.",
            "Queremos parar o contrato antigo e remover uma licença. Quanto custa?",
            "O meu colega está de férias, mas sim, envie a proposta.",
            "Como se cancela a inscrição no vosso serviço?",
        ),
    ),
    "it": Language(
        "Risposta automatica",
        "Le vostre fatture",
        (
            "Sono fuori ufficio fino al {day}.",
            "Grazie per il messaggio. Sono in ferie e rientro il {day}.",
            "Sono assente e tornerò il {day}.",
        ),
        ("4 dicembre 2026", "04/12/2026", "venerdì 4 dicembre"),
        "Al momento sono fuori sede.",
        (
            "Per favore cancellatemi dalla vostra lista.",
            "Non scrivetemi più.",
            "Disiscrivimi",
            "Smettete di scrivermi.",
            "Vi prego di rimuovermi dalla lista.",
            "Toglietemi dalla mailing list.",
        ),
        (
            "Certo, parliamone il 4 dicembre. Fino ad allora sono fuori sede.",
            "Vogliamo fermare il vecchio contratto e rimuovere una licenza. Quanto costa?",
            "Il mio collega è in ferie, ma sì, mandate l'offerta.",
            "Come ci si cancella dal vostro servizio?",
        ),
    ),
    "nl": Language(
        "Automatisch antwoord",
        "Uw facturen",
        (
            "Ik ben afwezig tot en met {day}.",
            "Bedankt voor uw bericht. Ik ben met vakantie en terug op {day}.",
            "Ik ben vanaf {day} weer bereikbaar; tot dan ben ik niet op kantoor.",
        ),
        ("4 december 2026", "04-12-2026", "vrijdag 4 december"),
        "Ik ben momenteel niet op kantoor.",
        (
            "Verwijder mij uit uw lijst.",
            "Stuur mij geen e-mails meer.",
            "Uitschrijven",
            "Graag afmelden.",
            "Haal mij van de mailinglijst.",
            "Gelieve mij uit te schrijven.",
        ),
        (
            "Prima, we spreken elkaar op 4 december. Tot dan ben ik afwezig.",
            "We willen het oude contract stoppen en een licentie verwijderen. Wat kost dat?",
            "Mijn collega is met vakantie, maar ja, stuur de offerte.",
            "Hoe kan men zich bij u uitschrijven?",
        ),
    ),
    "pl": Language(
        "Odpowiedź automatyczna",
        "Państwa faktury",
        (
            "Jestem nieobecny do {day}.",
            "Dziękuję za wiadomość. Przebywam na urlopie, wracam {day}.",
            "Będę poza biurem do dnia {day}.",
        ),
        ("4 grudnia 2026", "04.12.2026", "4 grudnia"),
        "Obecnie przebywam na urlopie.",
        (
            "Proszę usunąć mnie z listy.",
            "Wypiszcie mnie.",
            "Nie piszcie do mnie więcej.",
            "Rezygnuję",
            "Proszę mnie wypisać z listy mailingowej.",
            "Usuńcie mnie z bazy.",
        ),
        (
            "Dobrze, porozmawiajmy 4 grudnia. Do tego czasu jestem poza biurem.",
            "Chcemy zatrzymać starą umowę i usunąć licencję. Ile to kosztuje?",
            "Kolega jest na urlopie, ale tak, proszę przysłać ofertę.",
            "Jak można wypisać się z Państwa usługi?",
        ),
    ),
    "ja": Language(
        "自動応答",
        "請求書について",
        (
            "{day}まで休暇をいただいております。",
            "現在不在にしております。{day}に出社いたします。",
            "ご連絡ありがとうございます。{day}まで不在です。",
        ),
        ("2026年12月4日", "12月4日", "2026/12/4"),
        "ただいま外出しており、不在です。",
        (
            "配信停止を希望します。",
            "今後メールを送らないでください。",
            "配信停止してください。",
            "リストから削除してください。",
            "メールの配信を停止してください。",
            "今後のご連絡は不要です。",
        ),
        (
            "はい、12月4日にお話ししましょう。それまで不在です。",
            "古い契約を停止し、ライセンスを一つ削除したいのですが、費用はいくらですか。",
            "同僚は休暇中ですが、見積もりをお送りください。",
            "御社のサービスはどのように配信停止できますか。",
        ),
    ),
    "zh": Language(
        "自动回复",
        "您的发票",
        (
            "我正在休假,{day}返回。",
            "您好,我不在办公室,直到{day}。",
            "我外出中,将于{day}回来。",
        ),
        ("2026年12月4日", "12月4日", "2026-12-04"),
        "我目前不在办公室,回来后会尽快答复。",
        (
            "请不要再给我发邮件。",
            "退订",
            "请把我从列表中删除。",
            "取消订阅",
            "请勿再联系我。",
            "请将我从邮件列表中移除。",
        ),
        (
            "好的,我们12月4日谈。在那之前我不在办公室。",
            "我们想停止旧合同并删除一个许可证。费用是多少?",
            "我的同事在休假,不过可以,请发报价。",
            "请问你们的服务怎么退订?",
        ),
    ),
}
