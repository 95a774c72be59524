package dev.lockstep.block.qcow2.codec;

import java.nio.ByteBuffer;
import java.util.zip.Deflater;

/// Deflates with the JDK, whose window is always 32 KiB: a full flush makes it forget what came
/// before, so that no match reaches back further than a piece is long.
final class ForgetfulDeflater implements RawDeflater {
    private static final int PIECE_BYTES = 1 << DeflateCodec.WINDOW_BITS;

    private final Deflater deflater = new Deflater(Deflater.DEFAULT_COMPRESSION, true);

    @Override
    public int deflate(ByteBuffer source, ByteBuffer target) {
        deflater.reset();
        int start = target.position();
        while (source.hasRemaining()) {
            int length = Math.min(PIECE_BYTES, source.remaining());
            deflater.setInput(source.slice(source.position(), length));
            source.position(source.position() + length);
            if (!source.hasRemaining()) {
                deflater.finish();
            }
            deflater.deflate(target, Deflater.FULL_FLUSH);
            if (!target.hasRemaining() && !deflater.finished()) {
                return -1;
            }
        }
        return deflater.finished() ? target.position() - start : -1;
    }

    @Override
    public void close() {
        deflater.end();
    }
}
