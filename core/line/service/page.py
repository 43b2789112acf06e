"""The page to try the service with: one file, nothing from elsewhere, and a policy that lets nothing else in."""

import base64
import hashlib
import re
from importlib.resources import files

PAGE = files("resources").joinpath("service.html").read_text("utf-8")


def _digest(tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", PAGE, re.DOTALL)
    content = "" if found is None else found[1]
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src {_digest('style')}",
        f"script-src {_digest('script')}",
        "img-src blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
