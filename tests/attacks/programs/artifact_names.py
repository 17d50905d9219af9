# Names that mean something to the host: folders, control characters, the other direction.
# artifacts: 7

for name in (
    "..\\..\\windows.txt",
    "C:\\autoexec.txt",
    "new\nline.txt",
    "\x1b[2J.txt",
    "\u202etxt.exe",
    "-rf.txt",
    "x" * 251 + ".txt",
    "\udcff\udcfe.txt",
):
    open(name, "w").write("x")
open(".hidden", "w").write("x")
