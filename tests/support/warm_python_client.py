"""Have a warm process run a script: warm_python_client.py SOCKET PYTHON script.py [argument ...]

PYTHON itself runs what is no script, as in `python -c`, and what is to use another hub: the hub's
library reads its address when it is imported.
"""

import json
import os
import socket
import sys
from pathlib import Path

address, python, *words = sys.argv[1:]
if not words or words[0].startswith("-") or "HF_ENDPOINT" in os.environ:
    os.execv(python, [python, *words])
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(address)
    socket.send_fds(connection, [b"\n"], [0, 1, 2])
    request = {"words": words, "directory": str(Path.cwd()), "environment": dict(os.environ)}
    connection.sendall(json.dumps(request).encode())
    connection.shutdown(socket.SHUT_WR)
    status = connection.recv(16)
sys.exit(int(status or 1))
