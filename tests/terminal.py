"""A program on a terminal of its own."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios


class Terminal:
    """A program on a terminal of its own: what it shows, and keys for it."""

    def __init__(self, command, env, folder):
        self.shown = self.raw = ""
        main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=side,
            stdout=side,
            stderr=side,
            env=env,
            cwd=folder,
        )
        os.close(side)
        self._main = main
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(main, self._read)

    def _read(self):
        try:
            data = os.read(self._main, 65536)
        except OSError:  # the other end is closed
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._main)
        if b"\x1b[6n" in data:  # where the cursor is, prompt_toolkit asks
            self.type("\x1b[1;1R")
        # Spaces may come as movements of the cursor, so none are kept.
        text = data.decode(errors="replace")
        self.raw += text
        self.shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\s", "", text)
        self._more.set()

    def type(self, keys):
        os.write(self._main, keys.encode())

    async def until(self, phrase):
        """Wait until a phrase is shown, and forget what came before it."""
        phrase = phrase.replace(" ", "")
        async with asyncio.timeout(40):
            while phrase not in self.shown:
                self._more.clear()
                await self._more.wait()
        self.shown = self.shown.partition(phrase)[2]

    async def end(self):
        code = await asyncio.to_thread(self.process.wait, 40)
        asyncio.get_running_loop().remove_reader(self._main)
        os.close(self._main)
        return code
