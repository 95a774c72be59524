"""What `it/bench/nbd` puts in a server's place, to see how fast its client is."""
import os, signal, socket, struct


class Responder:
    """A server of no bytes in particular: it answers reads with zeroes, throws writes away and has no disk, until the `with` ends.

    It polls, so that a client need not wake it, and waits some 50 us for so many requests at once, so that it and its client
    do not wake each other for every single one. It serves one client at a time.
    """

    READ, WRITE = 0, 1
    OK = bytes.fromhex("6744669800000000")  # of a simple reply
    DATA = bytes.fromhex("668e33ef00010001")  # of a structured reply with one chunk of data, its last

    def __init__(self, folder, bytes_exported, at_once):
        self.socket = os.path.join(folder, f"responder{at_once}.sock")
        self.bytes_exported, self.at_once = bytes_exported, at_once
        self.zeroes = bytes(1 << 20)

    def __enter__(self):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.socket)
        listener.listen()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.serve(listener)
            finally:
                os._exit(1)
        listener.close()
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.unlink(self.socket)

    def serve(self, listener):
        while True:
            with listener.accept()[0] as client:
                if self.shake_hands(client):
                    self.answer(client)

    def shake_hands(self, client):
        """The fixed newstyle handshake, as far as libnbd takes it."""
        have_option = 0x49484156454F5054
        client.sendall(b"NBDMAGIC" + struct.pack(">QH", have_option, 3))
        client.recv(4, socket.MSG_WAITALL)
        while header := client.recv(16, socket.MSG_WAITALL):
            option, length = struct.unpack(">II", header[8:])
            client.recv(length, socket.MSG_WAITALL)

            def reply(kind, data=b""):
                client.sendall(struct.pack(">QIII", 0x3E889045565A9, option, kind, len(data)) + data)

            if option == 7:  # GO: the size, and that there are flags, flush and several connections
                reply(3, struct.pack(">HQH", 0, self.bytes_exported, 1 | 4 | 1 << 8))
            if option in (7, 8):  # STRUCTURED_REPLY
                reply(1)
            else:
                reply(0x80000001)
            if option == 7:
                return True
        return False

    def answer(self, client):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        data, have, idle = bytearray(4 << 20), 0, 0
        while True:
            try:
                count = client.recv_into(memoryview(data)[have:], 0, socket.MSG_DONTWAIT)
                if count == 0:
                    return
                have, idle = have + count, 0
            except BlockingIOError:
                idle += 1
            if have >= 28 * self.at_once or idle > 100:
                used, replies = self.replies(data, have)
                if replies:
                    client.sendall(b"".join(replies))
                data[:have - used] = data[used:have]
                have -= used

    def replies(self, data, have):
        replies, at = [], 0
        while have - at >= 28:
            kind, cookie, length = data[at + 7], data[at + 8:at + 16], int.from_bytes(data[at + 24:at + 28])
            payload = length if kind == self.WRITE else 0
            if have - at < 28 + payload:
                break
            if kind == self.READ:
                replies += [self.DATA, cookie, (8 + length).to_bytes(4), data[at + 16:at + 24],
                            self.zeroes if length == len(self.zeroes) else self.zeroes[:length]]
            else:
                replies += [self.OK, cookie]
            at += 28 + payload
        return at, replies
