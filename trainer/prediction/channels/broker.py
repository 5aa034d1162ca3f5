"""Publish each row to an MQTT broker exactly once (QoS 2), whatever ends in between.

In QoS 2 a message has a number. The broker answers PUBREC when it has the message, passes it on
after PUBREL, and then answers PUBCOMP. A message that is sent again under its number before PUBREL
is one message. So the number of a message follows from its row, and the journal knows whether
PUBREL may have been sent: after a kill, the exchange continues where it was. paho-mqtt does the
same as long as a process lives.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MessageState, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from space.batch.row import ERROR
from trainer.prediction.channels.addresses import PASSWORD, BrokerAddress
from trainer.prediction.channels.channel import Channel
from trainer.prediction.channels.outage import LONGEST_WAIT_S, Outage
from trainer.prediction.journal.journal import Entry, Journal

QOS = 2
# Messages under way at the same moment; brokers admit 20 by default.
WINDOW = 16
MESSAGE_NUMBERS = 65_535
KEEP_ALIVE_S = 30


class Broker(Channel):
    """A broker that gets each row as a JSON object, on the topic `TOPIC/VERDICT`."""

    def __init__(self, address: BrokerAddress) -> None:
        super().__init__("mqtt", f"The broker {address.shown}")
        self._address = address
        # Rows under way by their numbers in the protocol.
        self._under_way: dict[int, int] = {}
        self._changed = threading.Condition()

    def deliver(self, journal: Journal, failed: Callable[[BaseException], None]) -> None:
        """Publish rows until `stopping` is set."""
        client = _Client(self, journal, failed)
        if self._address.user is not None:
            client.username_pw_set(self._address.user, os.environ.get(PASSWORD))
        if self._address.tls:
            client.tls_set()
        for entry in journal.to_deliver(self.name, WINDOW):
            self._publish(client, entry, again=True)
        client.connect_async(self._address.host, self._address.port, KEEP_ALIVE_S)
        client.loop_start()
        try:
            self._publish_new(client, journal)
        finally:
            client.disconnect()
            client.loop_stop()

    def stop(self) -> None:
        """End the deliveries."""
        self.stopping.set()
        with self._changed:
            self._changed.notify_all()
        super().stop()

    def passed_on(self, number: int) -> int:
        """Return the row of a message that is delivered, which makes room for another one."""
        with self._changed:
            self._changed.notify_all()
            return self._under_way.pop(number)

    def row_of(self, number: int) -> int | None:
        """Return the row of a message under way."""
        with self._changed:
            return self._under_way.get(number)

    def _publish_new(self, client: _Client, journal: Journal) -> None:
        last = max(self._under_way.values(), default=0)
        while not self.stopping.is_set():
            with self._changed:
                room = WINDOW - len(self._under_way)
                if room == 0 and not self.stopping.is_set():
                    self._changed.wait()
                    continue
            for entry in self.next_rows(journal, room, last):
                last = entry.number
                self._publish(client, entry, again=False)

    def _publish(self, client: _Client, entry: Entry, *, again: bool) -> None:
        number = 1 + (entry.number - 1) % MESSAGE_NUMBERS
        with self._changed:
            self._under_way[number] = entry.number
        topic = f"{self._address.topic}/{entry.fields['verdict'] or ERROR}"
        client.send(number, topic, json.dumps(entry.fields), again=again, received=entry.received)


class _Client(mqtt.Client):
    """paho's client, with numbers that outlive it.

    It uses four names that are not public, since paho offers no store for messages under way;
    tests/integration/test_watch_mqtt.py fails if a version of paho changes them.
    """

    def __init__(
        self, channel: Broker, journal: Journal, failed: Callable[[BaseException], None]
    ) -> None:
        # The shortest limit of a name is 23 characters.
        name = f"predict-{journal.id[:15]}"
        super().__init__(CallbackAPIVersion.VERSION2, name, clean_session=False)
        self._channel, self._journal, self._failed = channel, journal, failed
        self._outage: Outage = channel.outage
        self.max_inflight_messages_set(WINDOW)
        self.reconnect_delay_set(1, int(LONGEST_WAIT_S))
        self.on_connect = self._connected
        self.on_disconnect = self._disconnected
        self.on_publish = self._published

    def send(self, number: int, topic: str, text: str, *, again: bool, received: bool) -> None:
        """Publish a message under a number, or continue to.

        Args:
            number: from 1 to `MESSAGE_NUMBERS`.
            topic: of the message.
            text: of the message.
            again: whether a former process may have sent it; only before the connection.
            received: whether the broker had it then.
        """
        self._last_mid = number - 1
        self.publish(topic, text, QOS)
        if again:
            message = self._out_messages[number]
            message.dup = True
            if received:
                message.state = MessageState.MQTT_MS_WAIT_FOR_PUBCOMP

    def reconnect(self) -> MQTTErrorCode:
        """Connect, and report why it fails."""
        try:
            return super().reconnect()
        except OSError as error:
            self._outage.failed(f"it can't be reached ({error.strerror or error})")
            raise

    def _handle_pubrec(self) -> MQTTErrorCode:
        number = int.from_bytes(self._in_packet["packet"][:2])
        row = self._channel.row_of(number)
        if row is not None and not self._recorded(lambda: self._journal.received("mqtt", row)):
            return MQTTErrorCode.MQTT_ERR_UNKNOWN
        return super()._handle_pubrec()

    def _published(
        self, client: mqtt.Client, data: Any, number: int, reason: ReasonCode, facts: Properties
    ) -> None:
        row = self._channel.row_of(number)
        if row is not None and self._recorded(lambda: self._journal.delivered("mqtt", row)):
            self._channel.passed_on(number)

    def _recorded(self, record: Callable[[], None]) -> bool:
        """Return whether the journal could be written; if not, the process ends."""
        try:
            record()
        except Exception as error:
            self._failed(error)
            return False
        return True

    def _connected(
        self,
        client: mqtt.Client,
        data: Any,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        facts: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._outage.failed(f"it refuses the connection ({reason})", refused=True)
            return
        self._outage.ended()
        if not flags.session_present:
            # It has forgotten the messages under way, or never had them: all are sent again.
            self._recorded(lambda: self._journal.none_received("mqtt"))
            with self._out_message_mutex:
                for message in self._out_messages.values():
                    message.state = MessageState.MQTT_MS_PUBLISH

    def _disconnected(
        self,
        client: mqtt.Client,
        data: Any,
        flags: mqtt.DisconnectFlags,
        reason: ReasonCode,
        facts: Properties | None,
    ) -> None:
        # After a refusal, this is no news.
        if not self._channel.stopping.is_set() and not self._outage.lasts:
            self._outage.failed("the connection is lost")
