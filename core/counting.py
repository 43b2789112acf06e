"""Numbers with their nouns, as every sentence of the program writes them."""


def counted(number: int, noun: str, nouns: str = "") -> str:
    """A number and its noun: 1 image, 1,200 images.

    Args:
        number: At least 0.
        noun: For one.
        nouns: For any other number; without it the noun and an s.
    """
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"
