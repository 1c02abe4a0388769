"""The table of actions and events for files, trees and symbolic links.

The rows are as in the table for directories.
"""

import pytest

from tests.support.watching import must_be_told

pytestmark = pytest.mark.network

TABLE = {
    "watch-file/chmod": """
        touch /file
        watch /file
        chmod 700 /file         -> CHMOD /file
    """,
    "watch-file/chmod-after-write": """
        touch /file
        echo /file
        watch /file
        chmod 700 /file         -> CHMOD /file
        echo /file              -> WRITE /file
        chmod 600 /file         -> CHMOD /file
    """,
    # A watch is on a file, and ends with it, wherever the name leads then.
    "watch-file/overwrite-watched-file": """
        touch /file
        touch /unwatch
        watch /file
        mv /unwatch /file       -> REMOVE /file
        echo /file
        rm /file
        watched
    """,
    "watch-file/overwrite-watched-file-with-watched-file": """
        touch /file
        touch /other
        watch /file
        watch /other
        mv /other /file         -> ~ RENAME /other, REMOVE /file
        echo /file
        watched
    """,
    "watch-file/re-add-renamed-file": """
        touch /file
        watch /file
        mv /file /rename        -> RENAME /file
        touch /file
        watch /file
        echo /rename
        echo /file              -> WRITE /file
    """,
    # Linux would tell CHMOD, and REMOVE once nobody has the file open.
    "watch-file/remove-watched-file": """
        touch /file
        watch /file
        rm /file                -> REMOVE /file
    """,
    "watch-file/rename-watched-file": """
        touch /file
        watch /file
        mv /file /rename-one    -> RENAME /file
        mv /rename-one /rename-two
    """,
    "watch-file/watch-twice": """
        touch /file
        watch /file
        watch /file
        echo /file              -> WRITE /file
    """,
    "watch-recurse/add-dir": """
        mkdir /sub
        mkdir /sub/dir
        watch -r /
        mkdir /sub/dir/newdir   -> CREATE /sub/dir/newdir
        touch /sub/dir/newdir/f -> CREATE /sub/dir/newdir/f
        rm /sub/dir/newdir/f    -> REMOVE /sub/dir/newdir/f
        touch /sub/dir/newdir/f -> CREATE /sub/dir/newdir/f
        echo /sub/dir/newdir/f  -> WRITE /sub/dir/newdir/f
    """,
    "watch-recurse/add-file": """
        mkdir /sub
        mkdir /sub/dir
        watch -r /
        touch /file             -> CREATE /file
        echo /file              -> WRITE /file
        touch /sub/dir/file     -> CREATE /sub/dir/file
        echo /sub/dir/file      -> WRITE /sub/dir/file
        chmod 700 /sub/dir      -> CHMOD /sub/dir
        rm /file                -> REMOVE /file
        rm /sub/dir/file        -> REMOVE /sub/dir/file
    """,
    "watch-recurse/remove-dir": """
        mkdir /sub
        mkdir /sub/dir
        watch -r /
        touch /sub/dir/file     -> CREATE /sub/dir/file
        rm -r /sub              -> REMOVE /sub/dir/file, REMOVE /sub/dir, REMOVE /sub
    """,
    "watch-recurse/remove-prefix": """
        mkdir /a
        mkdir /ab
        watch -r /a
        watch -r /ab
        watched /a /ab
        unwatch /a
        watched /ab
        touch /a/file
        touch /ab/file          -> CREATE /ab/file
    """,
    "watch-recurse/remove-recursive": """
        mkdir /dir1
        mkdir /dir1/subdir
        touch /dir1/subdir/file
        mkdir /dir2
        mkdir /dir2/subdir
        touch /dir2/subdir/file
        watch -r /dir1
        watch -r /dir2
        echo /dir1/subdir/file  -> WRITE /dir1/subdir/file
        echo /dir2/subdir/file  -> WRITE /dir2/subdir/file
        unwatch /dir1
        unwatch /dir2
        watched
        echo /dir1/subdir/file
        echo /dir2/subdir/file
    """,
    "watch-recurse/remove-watched-dir": """
        mkdir /dir
        touch /dir/a
        mkdir /dir/h
        touch /dir/h/a
        watch -r /dir
        rm -r /dir              -> ~ REMOVE /dir/a, REMOVE /dir/h/a, REMOVE /dir/h, REMOVE /dir
        watched
    """,
    "watch-recurse/rename-dir": """
        mkdir /sub
        mkdir /sub/dir
        watch -r /
        mv /sub /sub-rename     -> RENAME /sub, CREATE /sub-rename
        touch /sub-rename/file  -> CREATE /sub-rename/file
        touch /sub-rename/dir/f -> CREATE /sub-rename/dir/f
    """,
    "watch-recurse/rename-prefix": """
        mkdir /a
        mkdir /a/sub
        mkdir /ab
        mkdir /ab/sub
        watch -r /
        mv /a /x                -> RENAME /a, CREATE /x
        touch /x/sub/file       -> CREATE /x/sub/file
        touch /ab/sub/file      -> CREATE /ab/sub/file
    """,
    "watch-recurse/rename-to-different-dir": """
        mkdir /dir1
        mkdir /dir2
        touch /dir1/file
        watch -r /
        mv /dir1/file /dir2/new -> RENAME /dir1/file, CREATE /dir2/new
    """,
    "watch-recurse/rename-watched-dir": """
        mkdir /dir
        mkdir /dir/sub
        watch -r /dir
        mv /dir /renamed        -> RENAME /dir
        touch /renamed/sub/file
        watched
    """,
    "watch-symlink/to-dir": """
        mkdir /dir
        touch /dir/existing
        ln -s /dir /link
        watch /link
        touch /dir/file         -> CREATE /link/file
    """,
    "watch-symlink/to-file": """
        touch /file
        ln -s /file /link
        watch /link
        echo /file              -> WRITE /link
    """,
    "TestAdd/add same dir twice through symlink": """
        mkdir /dir
        ln -s /dir /link
        watch /dir
        watch /link
        watched /dir
        touch /dir/file         -> CREATE /dir/file
        rm /dir/file            -> REMOVE /dir/file
    """,
    "TestAdd/add same file twice through symlink": """
        touch /file
        ln -s /file /link
        watch /file
        watch /link
        watched /file
        echo /file              -> WRITE /file
        rm /file                -> REMOVE /file
    """,
    "TestWatchRemoveWatchedDir": """
        mkdir /dir
        touch /dir/a
        mkdir /dir/h
        mkdir /dir/h/a
        watch /dir
        rm -r /dir              -> ~ REMOVE /dir/a, REMOVE /dir/h, REMOVE /dir
    """,
    # No scenes of fsnotify, but what one would like to know.
    "hard links": """
        touch /file
        watch /
        ln /file /other         -> CREATE /other
        rm /other               -> REMOVE /other
        echo /file              -> WRITE /file
    """,
    "save by renaming": """
        touch /file
        watch /
        touch /file.tmp         -> CREATE /file.tmp
        echo /file.tmp          -> WRITE /file.tmp
        mv /file.tmp /file      -> RENAME /file.tmp, CREATE /file
        echo /file              -> WRITE /file
    """,
    "save by moving the old away": """
        touch /file
        watch /
        mv /file /file~         -> RENAME /file, CREATE /file~
        touch /file             -> CREATE /file
        echo /file              -> WRITE /file
        rm /file~               -> REMOVE /file~
    """,
}


@pytest.mark.parametrize("scene", TABLE)
def test_what_is_told(scene, tmp_path):
    must_be_told(TABLE[scene], tmp_path)
