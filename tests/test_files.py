"""Files appear whole or not at all; folders, too; what cannot be read or written is told in one line."""

import os

import pytest

from gekeras import files


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    files.write_text(tmp_path / "a.json", "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(files.FileError, match="No space left"):
        files.write_text(tmp_path / "a.json", "new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"


def test_write_replaces_follows_links_and_keeps_the_usual_permissions(tmp_path):
    (tmp_path / "plain").touch()
    os.symlink(tmp_path / "a.txt", tmp_path / "link.txt")
    files.write_text(tmp_path / "link.txt", "é\n")
    files.write_bytes(tmp_path / "a.txt", "ü\n".encode())
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "link.txt").read_text(encoding="utf-8") == "ü\n"
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "link.txt", "plain"]


def test_check_writable(tmp_path, monkeypatch):
    files.check_writable(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    files.check_writable("a.png")
    os.mkfifo("pipe")
    for path in ("pipe", ".", "no/a.png", "pipe/a.png", ""):
        with pytest.raises(files.FileError, match="cannot be written"):
            files.check_writable(path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(files.FileError, match="permission denied"):
        files.check_writable("a.png")
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


def test_a_block_that_fails_replaces_nothing(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), files.replacing(tmp_path / "a.bin") as file:
        file.write(b"new")
        1 / 0  # noqa: B018
    assert (tmp_path / "a.bin").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_is_rewritten_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "preset"
    folder.mkdir()
    (folder / "kept").write_text("1")
    (folder / "ignored").write_text("2")
    with pytest.raises(ZeroDivisionError), files.rewriting(folder) as made:
        (made / "kept").write_text("changed")
        1 / 0  # noqa: B018
    assert (folder / "kept").read_text() == "1"
    with files.rewriting(folder, ignore=lambda _, names: {"ignored"} & set(names)) as made:
        (made / "new").write_text("3")
    assert sorted(p.name for p in folder.iterdir()) == ["kept", "new"]
    assert [p.name for p in tmp_path.iterdir()] == ["preset"]


def test_json_comes_back(tmp_path):
    files.write_json(tmp_path / "a.json", {"name": "é", "list": [1, None]})
    assert files.read_json(tmp_path / "a.json") == {"name": "é", "list": [1, None]}


@pytest.mark.parametrize(
    "text, says", [("[1]", "is not a JSON object"), ("{", "cannot be read: Expecting"), (None, "no such")]
)
def test_what_is_no_json_object(tmp_path, text, says):
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(files.FileError, match=rf"(?i)a\.json: .*{says}"):
        files.read_json(tmp_path / "a.json")
