"""schemathesis against the service's own OpenAPI: what it thinks of, no service may fall over.

    python benchmarks/service_fuzz.py MODEL [--examples 100] [--seed 1] [--schemathesis PATH]

Starts `cfa serve` as a process and lets schemathesis (`pip install schemathesis`, best into an environment of its own)
make up requests from the OpenAPI, valid and not: no answer may be a fault of the service, of an undocumented status or
content type, or of another shape than documented; wrong methods are refused as documented, wrong parameters too, and
nothing is told without the token. Left out is one check: that every valid request is taken. An OpenAPI can say that a
body is binary, not that it is a picture; what is none is refused with 422, as documented.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOKEN = "a-token-for-the-fuzzer"


RELOAD = "/models/{name}/reload"


def fuzz(address: str, options: argparse.Namespace, examples: int, *chosen: str) -> int:
    command = [
        *(options.schemathesis, "run", f"{address}/openapi.json"),
        *("--header", f"Authorization: Bearer {TOKEN}"),
        *("--exclude-checks", "positive_data_acceptance"),
        *("--max-examples", str(examples), "--seed", str(options.seed)),
        *("--request-timeout", "60", "--continue-on-failure"),
        *chosen,
        *(("--phases", options.phases) if options.phases else ()),
    ]
    return subprocess.run(command, check=False).returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--examples", type=int, default=100, help="Made up for each address.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--phases", help="examples,coverage,fuzzing,stateful; all where left out.")
    parser.add_argument("--schemathesis", default="schemathesis", help="The program.")
    options = parser.parse_args()
    log = Path(tempfile.gettempdir()) / "service-fuzz.log"
    serve = [sys.executable, "-m", "core.cli", "serve", str(options.model), "--port", "0", "--device", "cpu"]
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            serve, cwd=ROOT, env=os.environ | {"CFA_TOKEN": TOKEN}, stdout=subprocess.PIPE, stderr=errors
        ) as process,
    ):
        try:
            assert process.stdout is not None
            address = process.stdout.readline().decode().split()[-1]
            assert process.stdout.readline().startswith(b"Ready: "), log.read_text()
            failed = fuzz(address, options, options.examples, "--exclude-path", RELOAD)
            failed += fuzz(address, options, 5, "--include-path", RELOAD)  # each takes seconds
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    faults = log.read_text().count("Traceback")
    print(f"The service ended with status {process.returncode}; its log holds {faults} tracebacks.")
    sys.exit(1 if failed or faults or process.returncode else 0)


if __name__ == "__main__":
    main()
