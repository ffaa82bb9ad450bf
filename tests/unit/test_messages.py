"""Sentences of the core: English as they are, and able to be said in another language with their values."""

import json
import pickle
from datetime import date
from decimal import Decimal
from gettext import NullTranslations

from babel import Locale

from app.messages import Message, Sum, counted, did_you_mean, message, rounded, sentence, sentences, value_of
from app.web.formatting import Formatter

GERMAN = {
    "{card} needs {size} GiB.": "{card} braucht {size} GiB.",
    "Use rank {rank}": "Rang {rank} nehmen",
    "Seen on {day}.": "Gesehen am {day}.",
    "one source": "eine Quelle",
    "{count} sources": "{count} Quellen",
    "{change}, at {rate} tokens/s": "{change}, mit {rate} Token/s",
}


class Dictionary(NullTranslations):
    """A handful of translations."""

    def gettext(self, message: str) -> str:
        return GERMAN.get(message, message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


READER = Formatter(locale=Locale("de", "DE"), translations=Dictionary())


def test_a_message_is_its_english_text() -> None:
    text = message("{card} needs {size} GiB.", card="RTX 3090", size=Decimal("1023.5"))
    assert text == "RTX 3090 needs 1,023.5 GiB."
    assert json.dumps({"text": text}) == '{"text": "RTX 3090 needs 1,023.5 GiB."}'
    assert hash(text) == hash(str(text))


def test_a_message_is_said_in_another_language_with_numbers_and_dates_of_its_own() -> None:
    text = message("{card} needs {size} GiB.", card="RTX 3090", size=Decimal("1023.50"))
    assert READER.gettext(text) == "RTX 3090 braucht 1.023,50 GiB."
    assert READER.gettext(message("Seen on {day}.", day=date(2026, 11, 24))) == "Gesehen am 24.11.2026."


def test_money_is_written_with_its_code_for_programs_and_as_usual_for_readers() -> None:
    text = message("It costs {amount}.", amount=Sum(Decimal("1023.50"), "USD"))
    assert text == "It costs 1,023.50 USD."
    assert READER.gettext(text) == "It costs 1.024\u00a0$."


def test_messages_hold_messages() -> None:
    text = message("{change}, at {rate} tokens/s", change=message("Use rank {rank}", rank=8), rate=1248)
    assert text == "Use rank 8, at 1,248 tokens/s"
    assert READER.gettext(text) == "Rang 8 nehmen, mit 1.248 Token/s"
    assert READER.gettext(value_of(text, "change")) == "Rang 8 nehmen"
    assert value_of(text, "card") == text
    assert value_of("plain", "card") == "plain"


def test_a_count_chooses_the_form() -> None:
    assert [str(counted("one source", "{count} sources", number)) for number in (1, 2)] == ["one source", "2 sources"]
    assert READER.gettext(counted("one source", "{count} sources", 1)) == "eine Quelle"
    assert READER.gettext(counted("one source", "{count} sources", 1200)) == "1.200 Quellen"


def test_sentences_follow_each_other() -> None:
    assert sentences() == ""
    assert sentences("", "One.") == "One."
    both = sentences(message("Use rank {rank}", rank=8), "", "B.")
    assert both == "Use rank 8 B."
    assert READER.gettext(both) == "Rang 8 nehmen B."
    assert sentence("is missing") == "is missing."
    assert did_you_mean("is unknown.", ("lora", "full")) == "is unknown. Did you mean lora?"
    assert did_you_mean("is unknown.", ()) == "is unknown."


def test_a_value_with_braces_stays_as_it_is() -> None:
    text = message("must be text, not {value}", value="{'a': {0}}")
    assert text == "must be text, not {'a': {0}}"
    assert READER.gettext(message("{text}", text=text)) == text


def test_a_message_survives_pickling_and_rounding_keeps_its_digits() -> None:
    text = counted("one source", "{count} sources", 3)
    again = pickle.loads(pickle.dumps(text))
    assert again == text
    assert isinstance(again, Message)
    assert READER.gettext(again) == "3 Quellen"
    assert str(rounded(2.0, 1)) == "2.0"
