"""The subset of a Containerfile that the sandbox builds by itself."""

import pytest

from sandbox import containerfile
from sandbox.containerfile import Copy
from sandbox.progress import SandboxError
from sandbox.state import REPOSITORY

TEXT = """\
# a comment
ARG BASE_IMAGE=default
FROM ${BASE_IMAGE}
ENV A=1 \\
    B=2
LABEL name="two words"
COPY here /there
ENTRYPOINT ["run", "it"]
"""


def test_a_recipe_says_base_files_and_settings() -> None:
    recipe = containerfile.parse(TEXT, {"BASE_IMAGE": "mine"})

    assert recipe.base == "mine"
    assert recipe.copies == (Copy("here", "/there"),)
    assert recipe.settings.environment == ("A=1", "B=2")
    assert recipe.settings.entrypoint == ("run", "it")
    assert recipe.settings.labels == {"name": "two words"}


def test_an_argument_has_its_default() -> None:
    assert containerfile.parse(TEXT, {}).base == "default"


def test_an_instruction_that_needs_a_container_is_refused_by_name() -> None:
    with pytest.raises(SandboxError, match="RUN"):
        containerfile.parse("FROM x\nRUN make", {})


def test_the_projects_own_file_is_understood() -> None:
    recipe = containerfile.read(REPOSITORY / "image" / "Containerfile", base="mine")

    assert recipe.base == "mine"
    assert recipe.copies[-1] == Copy("packages", "/usr/lib/fairlead/packages")
