"""Commands as a person types them."""

from click.testing import Result
from typer.testing import CliRunner

from seglens.cli import app

NETWORK = "streets-unet"


def result(*words: object, code: int = 0) -> Result:
    """What a command printed; its exit code is checked, and that no other exception came than the exit."""
    done = CliRunner().invoke(app, [str(w) for w in words])
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


def run(*words: object, code: int = 0) -> str:
    """Standard output where all went well, else all that was printed."""
    done = result(*words, code=code)
    return done.stdout if code == 0 else done.output


def flat(text: str) -> str:
    """Text on one line, without the frames of panels."""
    return " ".join(text.replace("│", " ").split())
