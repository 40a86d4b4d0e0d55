"""The worker's few fixed phrases, by language."""

from __future__ import annotations

__all__ = ["PHRASES", "phrase"]

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


def phrase(name: str, language: str, **values: str) -> str:
    """A fixed phrase in the language of the thread, English where it is not spoken here."""
    return PHRASES.get(language.lower()[:2], PHRASES["en"])[name].format(**values)
