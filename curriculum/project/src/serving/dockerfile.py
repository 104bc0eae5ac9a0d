"""Reads a Dockerfile, and says what is wrong with one of this service."""

import re

Instruction = tuple[str, str]
SECRET = re.compile(r"token|passw|secret|api_?key|credential", re.I)


def instructions(text: str) -> list[Instruction]:
    """Read a Dockerfile: the word and the rest of each instruction, comments left out, long lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines()
    return [
        (word.upper(), rest.strip()) for word, _, rest in (line.strip().partition(" ") for line in joined)
    ]


def last_stage(text: str) -> list[Instruction]:
    """The instructions of the stage that becomes the image, its FROM first, with the value of each early ARG put in."""
    found = instructions(text)
    early = [rest.partition("=") for word, rest in found if word == "ARG" and "=" in rest]
    start = max((at for at, (word, _) in enumerate(found) if word == "FROM"), default=len(found))
    for name, _, value in early:
        found = [(word, rest.replace(f"${{{name}}}", value)) for word, rest in found]
    return found[start:]


def problem(text: str) -> str | None:
    """Say what is wrong first with a Dockerfile of the service, None if nothing is."""
    stage = last_stage(text)
    by = {word: [rest for each, rest in stage if each == word] for word, _ in stage}
    if not stage:
        return "it has no FROM: an image begins from another one."
    return _ground(text, by) or _contents(by) or _running(by)


def _ground(text: str, by: dict[str, list[str]]) -> str | None:
    base = by["FROM"][0].split()[0]
    stages = {
        rest.split()[-1] for word, rest in instructions(text) if word == "FROM" and " as " in rest.lower()
    }
    if base in stages:
        return f"its last stage begins from {base}, tools and all. Begin from the base, and copy /opt/venv out of it."
    if not re.search(r"@sha256:|:[^:/]*\d", base):
        return f"{base} is another image every few weeks. Name a version, or a digest."
    named = [rest for word, rest in instructions(text) if word in ("ENV", "ARG") and SECRET.search(rest)]
    return (
        f"{named[0].split('=')[0]} would be in the image, for everybody who has it. Give a secret at run time."
        if named
        else None
    )


def _contents(by: dict[str, list[str]]) -> str | None:
    copied = by.get("COPY", []) + by.get("ADD", [])
    if any(re.match(r"(--\S+ )*\.?/? ", rest) for rest in copied):
        return "it copies the whole folder. Name what the service reads: src/ and models/served/."
    for wanted, told in (
        ("/opt/venv", "the packages: COPY --from=packages /opt/venv /opt/venv."),
        ("src", "the code, src/."),
        ("models/served", "the weights, models/served/."),
    ):
        if not any(wanted in rest for rest in copied):
            return f"its last stage does not copy {told}"
    if not any("/opt/venv/bin" in rest for rest in by.get("ENV", [])) and "/opt/venv/bin" not in str(
        by.get("CMD")
    ):
        return "nothing says that programs are in /opt/venv/bin: set PATH in the last stage, too."
    return None


def _running(by: dict[str, list[str]]) -> str | None:
    user = by.get("USER", ["root"])[-1].split(":")[0]
    if user in ("root", "0"):
        return "whoever breaks into the service is root in there. Name a USER."
    command = by.get("CMD", [""])[-1]
    if "uvicorn" not in command:
        return "its CMD does not start uvicorn."
    if not command.startswith("["):
        return 'its CMD is one line for a shell, and the shell keeps the signal to stop for itself. Write a list: ["uvicorn", …].'
    if "0.0.0.0" not in command:
        return "uvicorn listens to the container's own loopback there, and nobody outside can knock: --host 0.0.0.0."
    return None if "HEALTHCHECK" in by else "nobody would notice that it hangs: add a HEALTHCHECK."
