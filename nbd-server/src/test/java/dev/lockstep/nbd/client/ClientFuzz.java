package dev.lockstep.nbd.client;

import com.code_intelligence.jazzer.api.FuzzedDataProvider;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Pending;
import dev.lockstep.nbd.HeaderStyle;
import dev.lockstep.nbd.NbdProtocol;
import dev.lockstep.nbd.client.FakeServer.Wire;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/// A server that says anything at any point: every request ends, well or with a [BlockException].
final class ClientFuzz {
    private static final int BYTES = 4096;
    private static final long OFFSET = 8192;
    private static final long PATIENCE_NANOS = 20_000_000;

    private ClientFuzz() {}

    /// What Jazzer calls.
    public static void fuzzerTestOneInput(FuzzedDataProvider data) {
        HeaderStyle style = data.pickValue(HeaderStyle.values());
        boolean well = data.consumeBoolean();
        try (FakeServer server = new FakeServer(wire -> speak(wire, style, well, data))) {
            RemoteOptions options =
                    server.options()
                            .withHeaders(style)
                            .withDeadlines(Duration.ofSeconds(20), Duration.ofSeconds(20));
            try (RemoteDevice device = RemoteDevice.open(options)) {
                use(device);
            } catch (BlockException _) {
                // refused, as it may be
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void use(RemoteDevice device) {
        List<Pending> pending = new ArrayList<>();
        pending.add(device.startRead(OFFSET, ByteBuffer.allocateDirect(BYTES)));
        pending.add(device.startFlush());
        for (Pending each : pending) {
            try {
                each.await();
            } catch (BlockException _) {
                // refused, as it may be
            }
        }
        try {
            device.extents(OFFSET, BYTES);
        } catch (BlockException _) {
            // refused, as it may be
        }
    }

    private static void speak(Wire wire, HeaderStyle style, boolean well, FuzzedDataProvider data)
            throws IOException {
        if (well) {
            wire.handshake(style != HeaderStyle.SIMPLE);
        } else {
            wire.greet();
        }
        while (data.remainingBytes() > 0) {
            int type =
                    data.consumeBoolean() ? data.consumeInt(0, 7) : 0x8000 | data.consumeInt(0, 3);
            byte[] bytes = data.consumeBytes(data.consumeInt(0, 64));
            switch (data.consumeInt(0, 4)) {
                case 0 -> wire.out.write(bytes);
                case 1 -> wire.simple(cookie(wire), data.consumeInt(0, 200));
                case 2 -> reply(wire, data.consumeInt(0, 10), bytes);
                case 3 ->
                        wire.data(
                                data.consumeBoolean(),
                                cookie(wire),
                                OFFSET + data.consumeInt(-8, BYTES),
                                new byte[data.consumeInt(0, BYTES)]);
                default -> wire.chunk(data.consumeInt(0, 3), type, cookie(wire), bytes);
            }
        }
        wire.hangUp();
    }

    private static long cookie(Wire wire) throws IOException {
        awaitAsked(wire);
        return wire.request().cookie();
    }

    /// Gives the client a moment to ask; one that has been told enough asks no more.
    private static void awaitAsked(Wire wire) throws IOException {
        long end = System.nanoTime() + PATIENCE_NANOS;
        while (wire.in.available() == 0) {
            if (System.nanoTime() > end) {
                throw new IOException("nothing more is asked");
            }
            Thread.onSpinWait();
        }
    }

    /// Answers the option that the client is asking.
    private static void reply(Wire wire, int type, byte[] bytes) throws IOException {
        awaitAsked(wire);
        int option = wire.option();
        wire.out.writeLong(NbdProtocol.OPTION_REPLY_MAGIC);
        wire.out.writeInt(option);
        wire.out.writeInt(type);
        wire.out.writeInt(bytes.length);
        wire.out.write(bytes);
        wire.out.flush();
    }
}
