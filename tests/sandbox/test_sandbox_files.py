"""Files that go into a sandbox and come out by name: no link is followed, every cap holds."""

import pytest

from agentkit_sandbox import FileEntry, FileRefused

pytestmark = pytest.mark.docker
MB = 2**20


@pytest.fixture(autouse=True)
def _empty_workspace(box):
    yield
    box.wait(box.session.shell("find . -mindepth 1 -delete"))
    assert box.run("6 * 7").value == "42"


def put(box, name, data=b"x"):
    box.wait(box.session.put(name, data))


def get(box, name):
    return box.wait(box.session.get(name))


@pytest.mark.parametrize("size", [0, 1, MB, MB + 1, 10 * MB])
def test_a_file_goes_in_and_out_unchanged(box, size):
    data = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
    put(box, "data/all/in.bin", data)
    assert get(box, "data/all/in.bin").data == data
    assert box.run(f"import os; os.path.getsize('data/all/in.bin') == {size}").value == "True"


def test_a_file_that_was_put_is_no_artifact(box):
    put(box, "mine.csv", b"a,b\n")
    assert box.run("open('mine.csv').read()").artifacts == ()


def test_the_listing_names_files_in_folders_and_no_links(box):
    put(box, "b/c.txt", b"123")
    put(box, "图.txt")
    box.wait(box.session.shell("ln -s /etc/passwd link; mkfifo fifo; mkdir empty; ln -s / root"))
    found = box.wait(box.session.list())
    assert found.files == (FileEntry("b/c.txt", 3), FileEntry("图.txt", 1))
    assert found.complete


def test_a_listing_has_a_cap_on_depth(box):
    command = "for i in $(seq 20); do mkdir d; touch f; cd d; done"
    box.wait(box.session.shell(command))
    found = box.wait(box.session.list())
    assert not found.complete
    assert len(found.files) == 16


def test_putting_replaces_at_once_and_never_follows_a_link(box):
    box.wait(box.session.shell("ln -s /tmp/elsewhere link; mkfifo fifo; echo old > file"))
    for name in ("link", "fifo", "file"):
        put(box, name, b"new")
        assert get(box, name).data == b"new"
    assert box.run("import os; os.path.lexists('/tmp/elsewhere')").value == "False"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "no such file"),
        ("folder", "no regular file"),
        ("fifo", "no regular file"),
        ("link", "symbolic link"),
        ("root/etc/passwd", "not a directory"),
        ("file/below", "not a directory"),
        ("big", "larger than"),
    ],
)
def test_what_is_no_plain_file_is_refused_with_a_reason(box, name, reason):
    box.wait(
        box.session.shell(
            "mkdir folder; mkfifo fifo; ln -s /etc/passwd link; ln -s / root; "
            "echo x > file; truncate -s 20M big"
        )
    )
    with pytest.raises(FileRefused, match=reason):
        get(box, name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("root/x", "not a directory"), ("folder", "is a directory"), ("file/x", "not a directory")],
)
def test_what_cannot_be_written_is_refused_with_a_reason(box, name, reason):
    box.wait(box.session.shell("mkdir folder; ln -s /tmp root; echo x > file"))
    with pytest.raises(FileRefused, match=reason):
        put(box, name)
    assert box.wait(box.session.shell("ls /tmp; ls -A")).stdout.split() == [
        "file",
        "folder",
        "root",
    ]


def test_a_file_that_does_not_fit_leaves_nothing(box):
    put(box, "kept", b"x" * MB)
    with pytest.raises(FileRefused, match="no space"):
        put(box, "full", bytes(128 * MB))
    assert box.wait(box.session.shell("ls -A")).stdout == "kept\n"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/x",
        "../x",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        "a\0b",
        "x" * 256,
        "\ud800",
        "a/" * 16 + "a",
    ],
)
def test_a_name_that_is_no_plain_path_is_refused_before_it_is_sent(box, name):
    for call in (put, get):
        with pytest.raises(ValueError, match="names no file"):
            call(box, name)


def test_a_file_above_the_workspace_is_refused_before_it_is_sent(box):
    with pytest.raises(ValueError, match="workspace_mb"):
        put(box, "huge", bytes(128 * MB + 1))


def test_an_artifact_above_one_frame_arrives_whole(box):
    """A bug: a file above the cap of a frame ended the supervisor, whatever the policy said."""
    other = box.start(artifact_mb=24, preload=())
    try:
        code = "open('big', 'wb').write(b'ab' * (10 * 2**20))"
        [file] = box.run(code, session=other).artifacts
        assert file.data == b"ab" * (10 * MB)
    finally:
        box.wait(other.close())


def test_a_file_that_changes_while_it_is_read_is_not_handed_out(box):
    """A thread of the session goes on between calls; half a file is worse than none."""
    code = """
import threading
stop = threading.Event()
def write():
    while not stop.is_set():
        with open('moving.bin', 'r+b') as file: file.write(b'x')
with open('moving.bin', 'wb') as file: file.truncate(9 * 2**20)
thread = threading.Thread(target=write); thread.start()
"""
    result = box.run(code)
    assert result.artifacts == ()
    assert result.skipped == (("moving.bin", "it was changed while it was read"),)
    with pytest.raises(FileRefused, match="changed"):
        get(box, "moving.bin")
    box.run("stop.set(); thread.join()")


def test_a_folder_that_becomes_a_link_leads_nowhere(box):
    """A thread of the session swaps a folder and a link while files go through it."""
    code = """
import os, threading
stop = threading.Event()
os.makedirs('/tmp/outside', exist_ok=True)
os.mkdir('real')
os.symlink('/tmp/outside', 'fake')
def swap():
    while not stop.is_set():
        os.rename('real', 'turn'); os.rename('fake', 'real')
        os.rename('real', 'fake'); os.rename('turn', 'real')
thread = threading.Thread(target=swap); thread.start()
"""
    box.run(code)
    arrived = 0
    for number in range(40):
        try:
            put(box, f"real/{number}", b"x")
            arrived += 1
        except FileRefused:
            continue
    box.run("stop.set(); thread.join()")
    assert box.run("os.listdir('/tmp/outside')").value == "[]"
    names = [each.name for each in box.wait(box.session.list()).files]
    assert len([name for name in names if not name.endswith(".part")]) == arrived
