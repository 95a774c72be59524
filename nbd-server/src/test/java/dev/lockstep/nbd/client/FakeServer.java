package dev.lockstep.nbd.client;

import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.NbdUri;
import dev.lockstep.nbd.OptionReply;
import dev.lockstep.nbd.OptionReplyCodec;

import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;

/// A server that does what a test tells it, however wrong: one script for each connection, in
/// order. When a script has ended, its connection is held open until the client hangs up.
final class FakeServer implements AutoCloseable {
    static final long SIZE = 1 << 20;
    static final int CONTEXT = 7;

    private final ServerSocket listener;

    /// What the server does with its connection.
    interface Script {
        void run(Wire wire) throws IOException;
    }

    FakeServer(Script... scripts) throws IOException {
        listener = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        Thread.startVirtualThread(() -> acceptAll(scripts));
    }

    private void acceptAll(Script... scripts) {
        try {
            for (Script script : scripts) {
                Socket socket = listener.accept();
                Thread.startVirtualThread(() -> serve(socket, script));
            }
        } catch (IOException _) {
            // The test is over.
        }
    }

    /// A server that negotiates well and then follows the script.
    static FakeServer afterHandshake(boolean structured, Script script) throws IOException {
        return new FakeServer(
                wire -> {
                    wire.handshake(structured);
                    script.run(wire);
                });
    }

    /// Asks for no newer headers than structured ones, which most scripts are about.
    RemoteOptions options() {
        return RemoteOptions.of(
                        new NbdUri(new Address.Tcp("127.0.0.1", listener.getLocalPort()), "x"))
                .withHeaders(HeaderStyle.STRUCTURED);
    }

    private static void serve(Socket accepted, Script script) {
        try (Socket socket = accepted) {
            socket.setTcpNoDelay(true);
            Wire wire = new Wire(socket);
            script.run(wire);
            wire.out.flush();
            while (wire.in.read() >= 0) {
                // Whatever else the client sends is not answered.
            }
        } catch (IOException _) {
            // The client hung up, which is what most scripts provoke.
        }
    }

    @Override
    public void close() throws IOException {
        listener.close();
    }

    /// A request as it came.
    record Received(int flags, int command, long cookie, long offset, long length) {}

    /// The connection, with words for what servers say.
    static final class Wire {
        final DataInputStream in;
        final DataOutputStream out;
        private final Socket socket;

        /// Whether extended headers were agreed.
        private boolean extended;

        /// What is answered to SET_META_CONTEXT.
        final Map<Integer, String> contexts =
                new TreeMap<>(Map.of(CONTEXT, NbdProtocol.META_BASE_ALLOCATION));

        /// The payload of the last request that had one.
        byte[] payload = new byte[0];

        /// Where each request begins: extended replies say it again.
        final Map<Long, Long> offsets = new HashMap<>();

        Wire(Socket socket) throws IOException {
            this.socket = socket;
            in = new DataInputStream(socket.getInputStream());
            out = new DataOutputStream(new BufferedOutputStream(socket.getOutputStream()));
        }

        void greet() throws IOException {
            out.writeLong(NbdProtocol.INIT_MAGIC);
            out.writeLong(NbdProtocol.OPTION_MAGIC);
            out.writeShort(NbdProtocol.FLAG_FIXED_NEWSTYLE | NbdProtocol.FLAG_NO_ZEROES);
            out.flush();
            in.readInt();
        }

        /// Reads an option and returns its number.
        int option() throws IOException {
            in.readLong();
            int code = in.readInt();
            in.readNBytes(in.readInt());
            return code;
        }

        void answer(int option, OptionReply reply) throws IOException {
            ByteBuffer bytes = OptionReplyCodec.encode(option, reply);
            byte[] message = new byte[bytes.remaining()];
            bytes.get(message);
            out.write(message);
            out.flush();
        }

        void handshake(boolean structured) throws IOException {
            handshake(structured, NbdProtocol.FLAG_HAS_FLAGS | NbdProtocol.FLAG_SEND_FLUSH);
        }

        void handshake(boolean structured, int transmissionFlags) throws IOException {
            handshake(structured, transmissionFlags, SIZE);
        }

        void handshake(boolean structured, int transmissionFlags, long size) throws IOException {
            greet();
            while (true) {
                int option = option();
                switch (option) {
                    case NbdProtocol.OPT_EXTENDED_HEADERS -> {
                        extended = structured;
                        accept(option, structured);
                    }
                    case NbdProtocol.OPT_STRUCTURED_REPLY -> accept(option, structured);
                    case NbdProtocol.OPT_SET_META_CONTEXT -> {
                        for (var context : contexts.entrySet()) {
                            answer(
                                    option,
                                    new OptionReply.MetaContext(
                                            context.getKey(), context.getValue()));
                        }
                        answer(option, new OptionReply.Ack());
                    }
                    default -> {
                        answer(option, new OptionReply.InfoExport(size, transmissionFlags));
                        answer(option, new OptionReply.Ack());
                        return;
                    }
                }
            }
        }

        private void accept(int option, boolean accepted) throws IOException {
            OptionReply no = new OptionReply.Refusal(NbdProtocol.REP_ERR_UNSUP, "");
            answer(option, accepted ? new OptionReply.Ack() : no);
        }

        /// Reads a request, the payload of a write included.
        Received request() throws IOException {
            in.readInt();
            Received received =
                    new Received(
                            in.readUnsignedShort(),
                            in.readUnsignedShort(),
                            in.readLong(),
                            in.readLong(),
                            extended ? in.readLong() : in.readInt());
            boolean carries =
                    extended
                            ? (received.flags() & NbdProtocol.CMD_FLAG_PAYLOAD_LEN) != 0
                            : received.command() == NbdProtocol.CMD_WRITE;
            if (carries) {
                payload = in.readNBytes((int) received.length());
            }
            offsets.put(received.cookie(), received.offset());
            return received;
        }

        void simple(long cookie, int errno) throws IOException {
            out.writeInt(NbdProtocol.SIMPLE_REPLY_MAGIC);
            out.writeInt(errno);
            out.writeLong(cookie);
            out.flush();
        }

        void chunk(int flags, int type, long cookie, byte[] body) throws IOException {
            chunkHeader(flags, type, cookie, body.length);
            out.write(body);
            out.flush();
        }

        void chunkHeader(int flags, int type, long cookie, int length) throws IOException {
            out.writeInt(
                    extended
                            ? NbdProtocol.EXTENDED_REPLY_MAGIC
                            : NbdProtocol.STRUCTURED_REPLY_MAGIC);
            out.writeShort(flags);
            out.writeShort(type);
            out.writeLong(cookie);
            if (extended) {
                out.writeLong(offsets.getOrDefault(cookie, 0L));
                out.writeLong(length);
            } else {
                out.writeInt(length);
            }
            out.flush();
        }

        void data(boolean done, long cookie, long offset, byte[] bytes) throws IOException {
            ByteBuffer body = ByteBuffer.allocate(8 + bytes.length).putLong(offset).put(bytes);
            chunk(
                    done ? NbdProtocol.REPLY_FLAG_DONE : 0,
                    NbdProtocol.REPLY_TYPE_OFFSET_DATA,
                    cookie,
                    body.array());
        }

        void hole(boolean done, long cookie, long offset, int length) throws IOException {
            chunk(
                    done ? NbdProtocol.REPLY_FLAG_DONE : 0,
                    NbdProtocol.REPLY_TYPE_OFFSET_HOLE,
                    cookie,
                    ByteBuffer.allocate(12).putLong(offset).putInt(length).array());
        }

        void status(long cookie, int... words) throws IOException {
            ByteBuffer body = ByteBuffer.allocate(4 * words.length);
            for (int word : words) {
                body.putInt(word);
            }
            chunk(
                    NbdProtocol.REPLY_FLAG_DONE,
                    NbdProtocol.REPLY_TYPE_BLOCK_STATUS,
                    cookie,
                    body.array());
        }

        void wideStatus(boolean done, long cookie, int context, int count, long... words)
                throws IOException {
            ByteBuffer body = ByteBuffer.allocate(4 + 4 + 8 * words.length);
            body.putInt(context).putInt(count);
            for (long word : words) {
                body.putLong(word);
            }
            chunk(
                    done ? NbdProtocol.REPLY_FLAG_DONE : 0,
                    NbdProtocol.REPLY_TYPE_BLOCK_STATUS_EXT,
                    cookie,
                    body.array());
        }

        void hangUp() throws IOException {
            out.flush();
            socket.close();
        }
    }
}
