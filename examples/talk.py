#!/usr/bin/env python3
"""Talks in one conversation over a socket, with nothing but Python's standard library.

    python3 examples/talk.py TOKEN CONVERSATION [URL]

Prints what happens in the conversation from its beginning; each line typed is sent as a message. It is the protocol of
docs/protocol.md at its smallest: log in, resume, send, acknowledge, answer pings. The payloads are plain text in base64,
so this is for trying a server out; a real client seals them first.
"""
import base64
import json
import os
import socket
import sys
import threading
import uuid
from urllib.parse import urlsplit


class Socket:
    """A WebSocket client's side (RFC 6455) without fragments, as this server never sends any."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.tcp = socket.create_connection((parts.hostname, parts.port or 80))
        self.stream = self.tcp.makefile("rb")
        self.sending = threading.Lock()
        key = base64.b64encode(os.urandom(16)).decode()
        self.tcp.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Protocol: hubbub.v1.json\r\n\r\n".encode()
        )
        status = self.stream.readline().decode().strip()
        while self.stream.readline().strip():
            pass
        if " 101 " not in status:
            sys.exit(f"the server answered: {status}")

    def send(self, opcode, payload):
        length = len(payload)
        if length < 126:
            head = bytes([0x80 | opcode, 0x80 | length])
        else:
            head = bytes([0x80 | opcode, 0x80 | 126]) + length.to_bytes(2, "big")
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        with self.sending:
            self.tcp.sendall(head + mask + masked)

    def say(self, **frame):
        self.send(0x1, json.dumps(frame).encode())

    def frames(self):
        """What the server says, until it closes."""
        while head := self.stream.read(2):
            opcode, length = head[0] & 0x0F, head[1] & 0x7F
            if length >= 126:
                length = int.from_bytes(self.stream.read(2 if length == 126 else 8), "big")
            payload = self.stream.read(length)
            if opcode == 0x1:
                yield json.loads(payload)
            elif opcode == 0x9:
                self.send(0xA, payload)
            elif opcode == 0x8:
                reason = payload[2:].decode() or "without a reason"
                print(f"closed {int.from_bytes(payload[:2], 'big')}: {reason}")
                return


def show(frame):
    kind = frame["type"]
    if kind == "message.new":
        text = base64.b64decode(frame["encrypted_payload"]).decode(errors="replace")
        print(f"{frame['conversation_seq']:>4}  {frame['sender_id'][-6:]}  {text or '(taken back)'}", flush=True)
    elif kind == "message.ack":
        print(f"{frame['conversation_seq']:>4}  on disk", flush=True)
    elif kind == "auth.ok":
        print(f"logged in as {frame['actor']['id']}", flush=True)
    else:
        print(json.dumps(frame), flush=True)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__.strip())
    token, conversation = sys.argv[1:3]
    server = Socket(sys.argv[3] if len(sys.argv) > 3 else "http://127.0.0.1:8080")
    server.say(type="auth", token=token, resume=[{"conversation_id": conversation, "after_seq": 0}])
    unanswered = set()
    live, settled = threading.Event(), threading.Event()

    def listen():
        for frame in server.frames():
            show(frame)
            if frame["type"] == "live":
                live.set()
            unanswered.discard(frame.get("id"))
            if not unanswered:
                settled.set()
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    live.wait(10)
    for number, line in enumerate(sys.stdin):
        unanswered.add(str(number))
        settled.clear()
        server.say(
            type="message.send",
            id=str(number),
            conversation_id=conversation,
            client_message_id=str(uuid.uuid4()),
            content_type="text",
            encrypted_payload=base64.b64encode(line.rstrip("\n").encode()).decode(),
        )
    if unanswered:
        settled.wait(10)
    server.send(0x8, (1000).to_bytes(2, "big"))
    threading.Event().wait(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
