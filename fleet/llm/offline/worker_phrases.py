"""The worker's few fixed phrases, by language, and what counts as a yes or a no."""

from __future__ import annotations

import re

__all__ = ["PHRASES", "consent", "phrase"]

PHRASES = {
    "en": {
        "left": "All right, I leave everything as it is.",
        "nothing_waits": "Nothing is waiting for a yes or no here. What can I do for you?",
        "yes_or_no": "Please answer with yes or no.",
        "welcome": "You're welcome.",
        "help": "I did not find what to do with that. I can help with this: {tools}.",
        "bare": "I answer without a language model and have no tools here, so I cannot help with that.",
        "hello": "Hello! I can help with this: {tools}.",
        "can": "I can help with this: {tools}.",
        "missing": "I still need {what}. Which is it?",
        "shall": "Shall I {what}?",
        "failed": "That did not work: {why}",
        "none": "I found nothing on that.",
        "same": "That is how it is set already: {what}.",
        "done": "Done.",
    },
    "de": {
        "left": "In Ordnung, ich lasse alles, wie es ist.",
        "nothing_waits": "Hier wartet nichts auf ein Ja oder Nein. Was kann ich tun?",
        "yes_or_no": "Bitte mit Ja oder Nein antworten.",
        "welcome": "Gern geschehen.",
        "help": "Damit kann ich nichts anfangen. Dabei kann ich helfen: {tools}.",
        "bare": "Ich antworte ohne Sprachmodell und habe hier keine Werkzeuge; dabei kann ich nicht helfen.",
        "hello": "Hallo! Dabei kann ich helfen: {tools}.",
        "can": "Dabei kann ich helfen: {tools}.",
        "missing": "Eine Angabe fehlt noch: {what}?",
        "shall": "Soll ich das tun: {what}?",
        "failed": "Das hat nicht geklappt: {why}",
        "none": "Dazu habe ich nichts gefunden.",
        "same": "So ist es schon eingestellt: {what}.",
        "done": "Erledigt.",
    },
    "es": {
        "left": "De acuerdo, lo dejo todo como está.",
        "nothing_waits": "Aquí no hay nada pendiente de un sí o un no. ¿En qué puedo ayudar?",
        "yes_or_no": "Responde sí o no, por favor.",
        "welcome": "De nada.",
        "help": "No sé qué hacer con eso. Puedo ayudar con esto: {tools}.",
        "bare": "Respondo sin modelo de lenguaje y aquí no tengo herramientas; no puedo ayudar con eso.",
        "hello": "¡Hola! Puedo ayudar con esto: {tools}.",
        "can": "Puedo ayudar con esto: {tools}.",
        "missing": "Falta un dato: ¿{what}?",
        "shall": "¿Hago esto: {what}?",
        "failed": "No ha funcionado: {why}",
        "none": "No he encontrado nada sobre eso.",
        "same": "Ya está así: {what}.",
        "done": "Hecho.",
    },
    "fr": {
        "left": "Très bien, je laisse tout en l'état.",
        "nothing_waits": "Rien n'attend un oui ou un non ici. Que puis-je faire ?",
        "yes_or_no": "Merci de répondre par oui ou non.",
        "welcome": "Je vous en prie.",
        "help": "Je ne sais pas quoi en faire. Je peux aider pour ceci : {tools}.",
        "bare": "Je réponds sans modèle de langue et n'ai pas d'outils ici ; je ne peux pas aider.",
        "hello": "Bonjour ! Je peux aider pour ceci : {tools}.",
        "can": "Je peux aider pour ceci : {tools}.",
        "missing": "Il manque une chose : {what} ?",
        "shall": "Dois-je faire ceci : {what} ?",
        "failed": "Cela n'a pas marché : {why}",
        "none": "Je n'ai rien trouvé à ce sujet.",
        "same": "C'est déjà réglé ainsi : {what}.",
        "done": "C'est fait.",
    },
}
_YES = re.compile(
    r"(y(?=\W*$)|yes|yep|absolutely|definitely|please(?=\W*$)|yeah|yup|sure|ok|okay|"
    r"of course|go ahead|do it|do that|please do|confirm(ed)?|correct|right|exactly|"
    r"sounds good|perfect|fine|agreed|ja|jawohl|gern|genau|mach das|oui|d'accord|sí|si|vale|claro|sim|certo|va bene|"
    r"да|хорошо|はい|是的?|好的?)\b",
    re.I,
)
_NO = re.compile(
    r"(n(?=\W*$)|no|nope|nah|never ?mind|leave it|don't|do not|cancel|stop|forget it|not now|nein|"
    r"lieber nicht|non|não|nao|mejor no|nej|нет|いいえ|不|不要)\b",
    re.I,
)
_SIGNS = re.compile("[👍👌✅👎❌][\ufe0f\U0001f3fb-\U0001f3ff]?")
_HEDGE = re.compile(
    r"\b(but|wait|unless|except|aber|pero|mais|mas|ma|however|first|instead|not|don't|why|what|which|if)\b|\?", re.I
)
_COURTESY = re.compile(
    r"\b(please|thanks|thank you|bitte|danke|merci|gracias|por favor|s'il (te|vous) plaît|submit it|save it|that|it|"
    r"works|great|good|do|go ahead|all right|alright|leave|as it is|is|the|thing|everything|one|for me|me)\b|[^\w]+",
    re.I,
)


def phrase(name: str, language: str, **values: str) -> str:
    """A fixed phrase in the language of the thread, English where it is not spoken here."""
    return PHRASES.get(language.lower()[:2], PHRASES["en"])[name].format(**values)


def consent(text: str) -> str:
    """What a message is as an answer to "Shall I …?": `yes` or `no` if it is that and nothing else, else "".

    A yes with a condition, a question or a new value in it is none.
    """
    said = _SIGNS.sub(lambda sign: " yes " if sign[0][0] in "👍👌✅" else " no ", text).replace("’", "'").strip()
    for answer_, pattern in (("no", _NO), ("yes", _YES)):
        match = pattern.match(said)
        if match and len(said.split()) <= 8:
            rest = said[match.end() :]
            left = _COURTESY.sub(" ", _NO.sub(" ", _YES.sub(" ", rest)) if answer_ == "yes" else rest).split()
            if (
                not left
                and not _HEDGE.search(rest if answer_ == "yes" else "")
                and not (answer_ == "yes" and _NO.search(rest))
            ):
                return answer_
    return ""
