# An archive that grows to 100 MB is handed over as it is, and never opened.
# artifacts: 1

import zipfile

with zipfile.ZipFile("bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("../../zeros", bytes(100_000_000))
