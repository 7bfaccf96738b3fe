"""An edge node made with the public package pysparkplug: births, ten rounds of data, rebirths when asked, a death.

Runs in an environment of its own, where that package is: ``python pysparkplug_edge.py HOST PORT``. Sends by name, and
with an alias from the birth. One message is counted and not sent, so that a host has a gap to see.
"""

import sys
import threading
import time

import pysparkplug as sp

asked = threading.Event()


def command(_node: sp.EdgeNode, message: sp.Message) -> None:
    """Note a request to be born again."""
    if any(metric.name == "Node Control/Rebirth" and metric.value for metric in message.payload.metrics):
        print("pysparkplug: asked to be born again", flush=True)
        asked.set()


def metric(name: str, datatype: sp.DataType, value: float, alias: int | None = None) -> sp.Metric:
    """Return a metric of this moment."""
    return sp.Metric(timestamp=sp.get_current_timestamp(), name=name, datatype=datatype, value=value, alias=alias)


def pump(turn: int) -> tuple[sp.Metric, ...]:
    """Return the pump's metrics of one round."""
    return (
        metric("Pump/Temperature", sp.DataType.FLOAT, 40.5 + turn, 1),
        metric("Pump/Trim", sp.DataType.INT16, -3 - turn, 2),
        metric("Pump/Running", sp.DataType.BOOLEAN, turn % 2 == 0, 3),
        metric("Pump/Strokes", sp.DataType.UINT64, 10_000_000_000 + turn, 4),
    )


node = sp.EdgeNode("show", "pysparkplug", [metric("Uptime", sp.DataType.INT64, 0)], cmd_callback=command)
node.register(sp.Device("pump", pump(0)))
node.connect(sys.argv[1], port=int(sys.argv[2]))
time.sleep(1)
for turn in range(1, 11):
    if asked.is_set():
        # The package knows no rebirth: a new session is what it can do.
        asked.clear()
        node.disconnect()
        time.sleep(0.5)
        node.connect(sys.argv[1], port=int(sys.argv[2]))
        time.sleep(0.5)
    if turn == 4:
        next(node._EdgeNode__seq_cycler)  # a message that is lost
    node.update([metric("Uptime", sp.DataType.INT64, turn)])
    node.update_device("pump", pump(turn))
    time.sleep(0.6)
# Its death carries the number of the session that would come next (0.6.1), so a host rightly lets the pump live.
node.disconnect()
time.sleep(0.5)
