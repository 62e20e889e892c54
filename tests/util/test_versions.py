import subprocess

from util import versions


def test_the_commit_is_that_of_git_and_marks_changed_files(tmp_path, monkeypatch):
    def git(*words):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    monkeypatch.setattr(versions, "__file__", str(tmp_path / "versions.py"))
    assert versions.commit() is None
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "a")
    assert versions.commit() == git("rev-parse", "--short", "HEAD")
    (tmp_path / "a").write_text("2")
    assert versions.commit() == git("rev-parse", "--short", "HEAD") + "+"


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert versions.commit() is None


def test_a_cpu_is_told_with_its_cores():
    assert versions.machine("cpu").endswith("CPU cores")
