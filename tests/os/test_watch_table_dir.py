"""The table of actions and events for directories: what is done, and what is told of it.

Each row is a scene of fsnotify's ``testdata/watch-dir``, by its name, after what its text says for
all systems or, where these differ, after what they have in common; where that is a choice, the row
says why. How a scene is written, ``tests.support.watching`` tells.
"""

import pytest

from tests.support.watching import must_be_told

pytestmark = pytest.mark.network

TABLE = {
    "bug-277": """
        touch /file1
        ln -s /file1 /link1
        ln -s /nowhere /link2
        watch /
        touch /foo              -> CREATE /foo
        rm /foo                 -> REMOVE /foo
        mkdir /apple            -> CREATE /apple
        mv /apple /pear         -> RENAME /apple, CREATE /pear
        rmdir /pear             -> REMOVE /pear
    """,
    "create-cyclic-symlink": """
        ln -s . /link
        watch /
        rm /link                -> REMOVE /link
        touch /link             -> CREATE /link
        echo /link              -> WRITE /link
    """,
    "create-dir": """
        watch /
        mkdir /dir              -> CREATE /dir
    """,
    "create-empty-file": """
        watch /
        touch /file             -> CREATE /file
    """,
    "create-fifo": """
        watch /
        mkfifo /fifo            -> CREATE /fifo
        rm /fifo                -> REMOVE /fifo
    """,
    "create-file-in-subdir": """
        watch /
        mkdir /dir              -> CREATE /dir
        touch /dir/file
    """,
    "create-file-with-data": """
        watch /
        touch /file             -> CREATE /file
        echo /file              -> WRITE /file
    """,
    "create-unresolvable-symlink": """
        watch /
        ln -s /target /link     -> CREATE /link
    """,
    "dir-only": """
        touch /before-watch
        watch /
        touch /file             -> CREATE /file
        echo /file              -> WRITE /file
        rm /file                -> REMOVE /file
        rm /before-watch        -> REMOVE /before-watch
    """,
    "make-file-unreadable": """
        touch /unreadable
        touch /file
        watch /
        chmod 0 /unreadable     -> CHMOD /unreadable
        echo /file              -> WRITE /file
        rm /file                -> REMOVE /file
        rm /unreadable          -> REMOVE /unreadable
    """,
    "multiple-creates": """
        watch /
        touch /file             -> CREATE /file
        echo /file              -> WRITE /file
        rm /file                -> REMOVE /file
        touch /file             -> CREATE /file
        echo /file              -> WRITE /file
        echo /file              -> WRITE /file
    """,
    "remove-symlink": """
        touch /file
        ln -s /file /link
        watch /
        rm /link                -> REMOVE /link
    """,
    "remove-while-watching-parent": """
        watch /
        mkdir /abc              -> CREATE /abc
        mkdir /abc/def
        mkdir /abc/def/ghi
        watch /abc
        rm -r /abc              -> REMOVE /abc/def, REMOVE /abc
        watched /
    """,
    "rename-file": """
        touch /file
        watch /
        mv /file /rename        -> RENAME /file, CREATE /rename
    """,
    "rename-from-other-watch": """
        mkdir /dir1
        mkdir /dir2
        touch /dir1/file
        watch /dir1
        watch /dir2
        mv /dir1/file /dir2/new -> RENAME /dir1/file, CREATE /dir2/new
        echo /dir2/new          -> WRITE /dir2/new
    """,
    "rename-from-unwatched": """
        mkdir /unwatch
        touch /unwatch/file
        mkdir /dir
        watch /dir
        mv /unwatch/file /dir/f -> CREATE /dir/f
    """,
    # What is replaced is told as new: inotify knows no more of it.
    "rename-from-unwatched-overwrite": """
        mkdir /unwatch
        touch /unwatch/file
        mkdir /dir
        touch /dir/rename
        watch /dir
        mv /unwatch/file /dir/rename -> CREATE /dir/rename
        echo /dir/rename        -> WRITE /dir/rename
    """,
    "rename-nested-watched-dir": """
        mkdir /dir
        mkdir /dir/sub
        watch /dir
        watch /dir/sub
        mv /dir /dir-rename     -> RENAME /dir
        touch /dir-rename/sub/f -> CREATE /dir/sub/f
        watched /dir/sub
    """,
    "rename-overwrite": """
        touch /file
        touch /rename
        watch /
        mv /file /rename        -> RENAME /file, CREATE /rename
        echo /rename            -> WRITE /rename
    """,
    "rename-symlink": """
        touch /file
        ln -s /file /link
        watch /
        mv /link /link-rename   -> RENAME /link, CREATE /link-rename
    """,
    "rename-to-unwatched": """
        mkdir /dir
        mkdir /unwatch
        watch /dir
        touch /dir/file         -> CREATE /dir/file
        echo /dir/file          -> WRITE /dir/file
        mv /dir/file /unwatch/f -> RENAME /dir/file
        echo /unwatch/f
        touch /dir/file         -> CREATE /dir/file
    """,
    "rename-watched-dir": """
        mkdir /dir
        watch /dir
        mv /dir /dir-rename     -> RENAME /dir
        touch /dir-rename/file
        watched
    """,
    "subdir": """
        watch /
        mkdir /sub              -> CREATE /sub
        touch /file             -> CREATE /file
        touch /sub/file2
        rm -r /sub              -> REMOVE /sub
        rm /file                -> REMOVE /file
    """,
    "symlink-dir": """
        mkdir /dir
        watch /
        ln -s /dir /link        -> CREATE /link
        touch /link/file
    """,
    "symlink-file": """
        touch /file
        watch /
        ln -s /file /link       -> CREATE /link
    """,
    "truncate-file": """
        touch /file
        echo /file
        watch /
        truncate /file          -> WRITE /file
        echo /file              -> WRITE /file
    """,
    "unresolvable-symlink": """
        ln -s /nonexistent /dangling
        touch /file
        watch /
        touch /after            -> CREATE /after
    """,
    "watch-dir-inside-watched": """
        watch /
        mkdir /dir              -> CREATE /dir
        watch /dir
        touch /one              -> CREATE /one
        echo /one               -> WRITE /one
        touch /dir/two          -> CREATE /dir/two
        echo /dir/two           -> WRITE /dir/two
        chmod 700 /dir          -> CHMOD /dir
        rm /one                 -> REMOVE /one
        rm /dir/two             -> REMOVE /dir/two
    """,
    "watch-file-inside-watched-dir": """
        watch /
        touch /file             -> CREATE /file
        watch /file
        echo /file              -> WRITE /file
        chmod 700 /file         -> CHMOD /file
        rm /file                -> REMOVE /file
        watched /
    """,
    "watch-twice": """
        watch /
        watch /
        touch /file             -> CREATE /file
        echo /file              -> WRITE /file
        rm /file                -> REMOVE /file
        mkdir /dir              -> CREATE /dir
    """,
}


@pytest.mark.parametrize("scene", TABLE)
def test_what_is_told(scene, tmp_path):
    must_be_told(TABLE[scene], tmp_path)
