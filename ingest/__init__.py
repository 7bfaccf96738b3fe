"""From the broker to committed rows: source > decode > one transaction > acknowledge (ADR 3).

Start at ``pipeline.py`` for the transaction, ``worker.py`` for the loop around it, ``mqtt_source.py`` for the broker.
"""
