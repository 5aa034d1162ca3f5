"""Receivers of rows besides the table: a webhook, an MQTT broker."""
