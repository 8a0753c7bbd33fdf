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


def test_names_that_no_folder_takes_are_refused_before(tmp_path, monkeypatch):
    """Too long for the folder, in bytes, also for one that is made later; too long a path; no name at all."""
    monkeypatch.chdir(tmp_path)
    most = os.pathconf(tmp_path, "PC_NAME_MAX")
    fits, over = "a" * (most - 4) + ".png", "é" * (most // 2) + ".png"
    files.check_writable(fits)
    files.check_writable(f"new/{fits}", made=True)
    files.write_text(fits, "written")
    assert files.longest_name("new/folder") == most
    deep = "/".join(["d" * 200] * 30) + "/a.png"
    for path, made, says in (
        (over, False, f"at most {most} bytes"),
        (f"new/{over}", True, f"at most {most} bytes"),
        (f"{'n' * 300}/a.png", True, f"at most {most} bytes"),
        (deep, True, "a path has at most"),
        ("a\0b.png", False, "no name of a file"),
        ("\ud800.png", False, "no name of a file"),
        ("a.png/", False, "ends with a slash"),
    ):
        with pytest.raises(files.FileError, match=says) as caught:
            files.check_writable(path, made=made)
        assert str(caught.value).isprintable() and len(str(caught.value).splitlines()) == 1
    # The temporary name, which is longer than a short one, counts: what is checked can be written.
    folder = tmp_path
    limit = os.pathconf(tmp_path, "PC_PATH_MAX") - 1
    while limit - len(str(folder)) > 230:
        folder /= "d" * 200
    folder /= "d" * (limit - len(str(folder)) - 1 - len("/b.png"))
    with pytest.raises(files.FileError, match="a path has at most"):
        files.check_writable(folder / "b.png", made=True)
    assert os.listdir() == [fits]


def test_a_folder_that_could_not_be_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    os.symlink("nowhere", "link")
    for folder in (".", "new", "new/deep", str(tmp_path)):
        files.check_folder(folder)
        files.check_writable(os.path.join(folder, "a.png"), made=True)
    for folder in ("file", "file/new", "link", "link/new"):
        for check in (files.check_folder, lambda path: files.check_writable(f"{path}/a.png", made=True)):
            with pytest.raises(files.FileError, match=r"(file|link) is not a folder"):
                check(folder)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(files.FileError, match="permission denied"):
        files.check_folder("new/deep")
    assert sorted(os.listdir()) == ["file", "link"]


def test_files_appear_together_or_not_at_all(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")
    with files.together(tmp_path / "new"):
        files.write_text(tmp_path / "a", "1")
        files.write_text(tmp_path / "new" / "b", "2")
        assert (tmp_path / "a").read_text() == "old" and not (tmp_path / "new" / "b").exists()
    assert (tmp_path / "a").read_text() == "1" and (tmp_path / "new" / "b").read_text() == "2"
    for error in (ZeroDivisionError, KeyboardInterrupt):
        with pytest.raises(error), files.together(tmp_path / "other"):
            files.write_text(tmp_path / "a", "3")
            files.write_text(tmp_path / "other" / "c", "4")
            raise error
    with pytest.raises(files.FileError), files.together(tmp_path / "new"):
        files.write_text(tmp_path / "a", "5")
        files.write_text(tmp_path / "nowhere" / "d", "6")
    assert (tmp_path / "a").read_text() == "1"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "new"]
    files.write_text(tmp_path / "a", "7")  # outside of a block at once, as ever
    assert (tmp_path / "a").read_text() == "7"
    with (
        pytest.raises(files.FileError, match="nowhere/new: cannot be written"),
        files.together(tmp_path / "nowhere" / "new"),
    ):
        raise AssertionError("the block runs only if its folder can be made")


def test_one_process_at_a_time(tmp_path):
    path = tmp_path / "out"
    with files.alone(path), files.alone(tmp_path / "other"):
        with pytest.raises(files.FileError, match="out: another process is writing it"), files.alone(path):
            raise AssertionError
        assert (tmp_path / ".out.lock").exists()  # the one who was refused has not removed it
    assert not list(tmp_path.iterdir())
    (tmp_path / ".out.lock").touch()  # of a process that was killed
    with pytest.raises(KeyboardInterrupt), files.alone(path):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_lock_that_its_owner_removes_is_none(tmp_path, monkeypatch):
    """Opened before the owner's end and locked after it: a third one could make and lock a new file."""

    def late(file, _):
        (tmp_path / ".out.lock").unlink()
        (tmp_path / ".out.lock").touch()

    monkeypatch.setattr(files.fcntl, "flock", late)
    with pytest.raises(files.FileError, match="another process"), files.alone(tmp_path / "out"):
        raise AssertionError
    assert (tmp_path / ".out.lock").exists()
