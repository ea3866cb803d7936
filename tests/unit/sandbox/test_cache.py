"""Built things are kept by content."""

from pathlib import Path

import pytest

from sandbox import cache


def test_parts_do_not_run_into_each_other() -> None:
    assert cache.digest("ab", "c") != cache.digest("a", "bc")


def test_a_tree_has_another_name_when_a_file_changes_moves_or_becomes_executable(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    before = cache.tree_digest(tmp_path)

    (tmp_path / "a").chmod(0o755)
    executable = cache.tree_digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    moved = cache.tree_digest(tmp_path)
    (tmp_path / "b").write_text("two")
    changed = cache.tree_digest(tmp_path)

    assert len({before, executable, moved, changed}) == 4


def test_pythons_own_caches_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one")
    before = cache.tree_digest(tmp_path)

    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("x")

    assert cache.tree_digest(tmp_path) == before


def test_a_thing_is_built_once() -> None:
    built: list[Path] = []

    for _ in range(2):
        folder = cache.artefact("kind", "key", built.append)

    assert len(built) == 1
    assert folder.exists()


def test_a_build_that_fails_leaves_nothing_that_looks_built(own_cache: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError):
        cache.artefact("kind", "key", fail)

    assert not cache.has("kind", "key")
    assert list((own_cache / "kind").iterdir()) == []
