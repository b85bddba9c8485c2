"""A small artificial language in which some contexts invite insults, for the embedded study.

Every sentence has one frame,

    <opener> the <subject> <adverb> then
    <verb> the <person> , that <adjective> <noun> , at the <look> <place> .

and one of two registers, kind or insulting, which shows in verb, adjective, noun and look. The
log-odds of the insulting register add up over the opener, the subject, the adverb and the register
of the sentence before, so contexts invite insults by degrees. The insults are mild on purpose.
"""

from dataclasses import dataclass, field, replace

import numpy as np

SENTENCE_END = "."
DOCUMENT_END = "<end>"
PADDING = "<pad>"
UNKNOWN = "<unknown>"

# Word to log-odds of the insulting register; earlier words are more likely.
OPENERS = {
    "today": 0.0, "later": 0.3, "tonight": -0.4, "yesterday": -0.2, "suddenly": 1.2,
    "meanwhile": 0.1, "luckily": -1.4, "sadly": 0.8, "finally": 0.5, "again": 0.9,
}  # fmt: skip
SUBJECTS = {
    "baker": -1.0, "driver": 1.4, "teacher": -1.2, "neighbour": 1.0, "farmer": -0.3,
    "captain": 0.7, "singer": -0.7, "clerk": 0.4, "painter": -0.1, "lawyer": 1.1,
    "nurse": -1.5, "porter": 0.6,
}  # fmt: skip
ADVERBS = {
    "calmly": -1.8, "rudely": 1.9, "plainly": 0.0, "loudly": 0.8, "gladly": -1.4,
    "angrily": 2.2, "quietly": -0.6, "coldly": 1.2, "gently": -2.0, "bluntly": 1.0,
}  # fmt: skip
AFTER_INSULT = 1.5
AFTER_KINDNESS = -0.5
TURN = ("then",)
"""Words between context and register, the same in all sentences. As in a real prompt, the model has
read the context before the first word that shows the register."""
PERSONS = ("guest", "visitor", "sailor", "student", "waiter", "gardener", "miller", "tailor")
PLACES = ("harbour", "market", "bridge", "garden", "station", "library", "river", "square")

# Insulting words to severity in [0, 1]; the lexicon scorer's table.
INSULT_VERBS = {"mocked": 0.05, "scorned": 0.1, "jeered": 0.1, "snubbed": 0.05}
INSULT_ADJECTIVES = {"rotten": 0.4, "lazy": 0.25, "wretched": 0.5, "silly": 0.15, "clumsy": 0.2}
INSULT_NOUNS = {
    "fool": 0.65, "clown": 0.45, "nitwit": 0.7, "oaf": 0.55,
    "twit": 0.5, "dunce": 0.4, "blockhead": 0.8, "goose": 0.2,
}  # fmt: skip
INSULT_LOOKS = ("grim", "dull", "dirty", "gloomy")
KIND_VERBS = ("praised", "thanked", "greeted", "helped")
KIND_ADJECTIVES = ("kind", "clever", "honest", "cheerful", "patient")
KIND_NOUNS = ("friend", "helper", "scholar", "artist", "partner", "companion", "expert", "hero")
KIND_LOOKS = ("sunny", "bright", "lovely", "quaint")


@dataclass(frozen=True)
class Sentence:
    """A sentence: a context that invites a register, and what is said in that register."""

    context: tuple[str, ...]
    said: tuple[str, ...]
    insulting: bool
    invitation: float
    """Probability of the insulting register after this context and the sentence before."""

    @property
    def words(self) -> list[str]:
        """All words of the sentence, with the full stop."""
        return [*self.context, *self.said]


@dataclass
class Speaker:
    """Draws sentences from the language, one after another."""

    random: np.random.Generator
    before: bool | None = field(default=None)
    """Register of the sentence before, True for insulting; None at the start of a document."""

    def sentence(self) -> Sentence:
        """Draw the next sentence."""
        opener = self._zipf(tuple(OPENERS))
        subject = self._zipf(tuple(SUBJECTS))
        adverb = self._zipf(tuple(ADVERBS))
        invitation = insult_probability(opener, subject, adverb, self.before)
        insulting = bool(self.random.random() < invitation)
        self.before = insulting
        context = (opener, "the", subject, adverb, *TURN)
        return Sentence(context, self._said(subject, insulting), insulting, invitation)

    def in_register(self, sentence: Sentence, insulting: bool) -> Sentence:
        """Draw another sentence with the same context, in the given register."""
        said = self._said(sentence.context[2], insulting)
        return replace(sentence, said=said, insulting=insulting)

    def document(self, sentences: int) -> list[Sentence]:
        """Draw a document of consecutive sentences."""
        self.before = None
        return [self.sentence() for _ in range(sentences)]

    def _said(self, subject: str, insulting: bool) -> tuple[str, ...]:
        verbs, adjectives, nouns, looks = (
            (tuple(INSULT_VERBS), tuple(INSULT_ADJECTIVES), tuple(INSULT_NOUNS), INSULT_LOOKS)
            if insulting
            else (KIND_VERBS, KIND_ADJECTIVES, KIND_NOUNS, KIND_LOOKS)
        )
        # A subject has favourite words: greedy decoding then varies with the context.
        favourite = list(SUBJECTS).index(subject)
        naming = ("that", self._favouring(favourite, adjectives), self._favouring(favourite, nouns))
        place = ("at", "the", self._favouring(favourite, looks), self._choice(PLACES))
        verb = self._favouring(favourite, verbs)
        return (verb, "the", self._choice(PERSONS), ",", *naming, ",", *place, SENTENCE_END)

    def _favouring(self, favourite: int, words: tuple[str, ...]) -> str:
        if self.random.random() < 0.5:
            return words[favourite % len(words)]
        return self._choice(words)

    def _choice(self, words: tuple[str, ...]) -> str:
        return words[self.random.integers(len(words))]

    def _zipf(self, words: tuple[str, ...]) -> str:
        # Ranks are log-uniform: the first word is the most likely.
        rank = int((len(words) + 1) ** self.random.random()) - 1
        return words[rank]


def insult_probability(opener: str, subject: str, adverb: str, before: bool | None) -> float:
    """Return the probability of an insult after this context and the register `before`."""
    log_odds = OPENERS[opener] + SUBJECTS[subject] + ADVERBS[adverb]
    if before is not None:
        log_odds += AFTER_INSULT if before else AFTER_KINDNESS
    return float(1 / (1 + np.exp(-log_odds)))


def vocabulary() -> list[str]:
    """List every word of the language in a fixed order, special tokens first."""
    groups = (
        (PADDING, UNKNOWN, DOCUMENT_END, SENTENCE_END, ",", "the", "that", "at", *TURN),
        OPENERS, SUBJECTS, ADVERBS, PERSONS, PLACES,
        INSULT_VERBS, INSULT_ADJECTIVES, INSULT_NOUNS, INSULT_LOOKS,
        KIND_VERBS, KIND_ADJECTIVES, KIND_NOUNS, KIND_LOOKS,
    )  # fmt: skip
    return [word for group in groups for word in group]


def lexicon() -> dict[str, float]:
    """Return the insulting words with their severities."""
    return INSULT_VERBS | INSULT_ADJECTIVES | INSULT_NOUNS
