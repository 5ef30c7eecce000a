"""Consent: what a delivered value says about training on an image.

Here: the words and what follows from one value. Not here: what follows from several deliveries of one image
(``storage.lesions_sql``), which words a deployment knows (``dataset_config``).
"""

from dataclasses import dataclass

NO_CONSENT = "no consent"
UNCLEAR = "consent unclear"


@dataclass(frozen=True)
class ConsentWords:
    """Values that refuse, that give, and that give anew after a refusal; compared without case and outer spaces."""

    refused: tuple[str, ...] = ("no", "false", "0", "0.0", "n", "nein", "non", "refused", "withdrawn", "revoked", "denied")
    given: tuple[str, ...] = ("yes", "true", "1", "1.0", "y", "ja", "oui", "given", "granted")
    renewed: tuple[str, ...] = ("renewed",)

    def exclusion(self, value: str | None) -> str | None:
        """Why an image delivered with ``value`` alone is kept out of training; None where it may be trained on.

        No value says nothing against it; a value that is in no list does.
        """
        word = (value or "").strip().lower()
        if not word or word in self.given or word in self.renewed:
            return None
        return NO_CONSENT if word in self.refused else UNCLEAR
