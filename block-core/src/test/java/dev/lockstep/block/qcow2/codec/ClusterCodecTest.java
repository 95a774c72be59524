package dev.lockstep.block.qcow2.codec;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Seeds;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Random;

class ClusterCodecTest {
    static final List<ClusterCodec> CODECS =
            List.of(ClusterCodec.deflate(), new DeflateCodec(null), ClusterCodec.zstd());

    static final List<ClusterCodec> DEFLATES =
            List.of(ClusterCodec.deflate(), new DeflateCodec(null));

    private final Random random = new Random(Seeds.next("ClusterCodecTest"));

    @ParameterizedTest
    @FieldSource("CODECS")
    void a_cluster_of_any_size_comes_back_whatever_follows_its_bytes(ClusterCodec codec)
            throws BlockException {
        for (int bits = 9; bits <= 21; bits++) {
            for (int turn = 0; turn < (bits > 16 ? 1 : 8); turn++) {
                ByteBuffer cluster = cluster(1 << bits);
                ByteBuffer stored = ByteBuffer.allocateDirect((1 << bits) + 512);
                assertTrue(codec.compress(cluster.slice(), stored.slice(0, 1 << bits)));
                assertTrue(codec.compress(cluster.slice(), stored));
                while (stored.hasRemaining()) {
                    stored.put((byte) random.nextInt());
                }
                ByteBuffer back = ByteBuffer.allocateDirect(1 << bits);
                codec.decompress(stored.flip(), back);
                assertEquals(cluster, back.flip());
            }
        }
    }

    @ParameterizedTest
    @FieldSource("CODECS")
    void what_does_not_shrink_is_refused(ClusterCodec codec) throws BlockException {
        for (int bits = 9; bits <= 21; bits++) {
            byte[] noise = new byte[1 << bits];
            random.nextBytes(noise);
            ByteBuffer target = ByteBuffer.allocateDirect(noise.length - 1);
            assertFalse(codec.compress(direct(noise), target));
            assertEquals(0, target.position());
        }
    }

    @ParameterizedTest
    @FieldSource("DEFLATES")
    void no_match_reaches_back_further_than_4_KiB(ClusterCodec codec) throws BlockException {
        byte[] noise = new byte[5000];
        random.nextBytes(noise);
        ByteBuffer cluster = ByteBuffer.allocateDirect(1 << 16);
        while (cluster.hasRemaining()) {
            cluster.put(noise, 0, Math.min(noise.length, cluster.remaining()));
        }
        cluster.flip();
        ByteBuffer target = ByteBuffer.allocateDirect((1 << 16) - 1);
        assertFalse(codec.compress(cluster, target));
    }

    @Test
    void the_machine_has_a_libz() {
        assertNotNull(Libz.find());
    }

    @ParameterizedTest
    @FieldSource("CODECS")
    void truncated_bytes_are_corrupt(ClusterCodec codec) throws BlockException {
        ByteBuffer stored = ByteBuffer.allocateDirect(1 << 16);
        assertTrue(codec.compress(cluster(1 << 16), stored));
        for (int turn = 0; turn < 100; turn++) {
            ByteBuffer part = stored.slice(0, random.nextInt(stored.position() - 8));
            ByteBuffer back = ByteBuffer.allocateDirect(1 << 16);
            BlockException e =
                    assertThrows(BlockException.class, () -> codec.decompress(part, back));
            assertEquals(Kind.CORRUPT, e.kind());
        }
    }

    @ParameterizedTest
    @FieldSource("CODECS")
    void hostile_bytes_make_a_cluster_or_are_corrupt(ClusterCodec codec) throws BlockException {
        for (int turn = 0; turn < 1000; turn++) {
            int size = 1 << (9 + random.nextInt(8));
            ByteBuffer stored = ByteBuffer.allocateDirect(size);
            assertTrue(codec.compress(cluster(size), stored));
            stored.flip();
            for (int flips = random.nextInt(1, 9); flips > 0; flips--) {
                stored.put(random.nextInt(stored.limit()), (byte) random.nextInt());
            }
            ByteBuffer around = ByteBuffer.allocateDirect(size + 64);
            ByteBuffer back = around.slice(0, size);
            try {
                codec.decompress(stored, back);
                assertEquals(0, back.remaining());
            } catch (BlockException e) {
                assertEquals(Kind.CORRUPT, e.kind());
            }
            assertEquals(ByteBuffer.allocate(64), around.slice(size, 64));
        }
    }

    @Test
    void a_bomb_fills_one_cluster_and_no_more() throws BlockException {
        ByteBuffer large = ByteBuffer.allocateDirect(2 << 20);
        ByteBuffer stored = ByteBuffer.allocateDirect(64 << 10);
        assertTrue(ClusterCodec.deflate().compress(large.slice(), stored));
        ByteBuffer cluster = ByteBuffer.allocateDirect(512);
        ClusterCodec.deflate().decompress(stored.flip(), cluster);
        assertEquals(0, cluster.remaining());

        assertTrue(ClusterCodec.zstd().compress(large, stored.clear()));
        stored.flip();
        BlockException e =
                assertThrows(
                        BlockException.class,
                        () -> ClusterCodec.zstd().decompress(stored, cluster.clear()));
        assertEquals(Kind.CORRUPT, e.kind());
    }

    /// Bytes that shrink, with matches near and far.
    private ByteBuffer cluster(int bytes) {
        byte[] made = new byte[bytes];
        int seen = 16;
        while (seen < bytes) {
            int length = Math.min(bytes - seen, 8 + random.nextInt(200));
            if (random.nextInt(4) == 0) {
                for (int i = 0; i < Math.min(length, 20); i++) {
                    made[seen + i] = (byte) random.nextInt();
                }
            } else if (random.nextBoolean()) {
                int back = 1 + random.nextInt(seen);
                for (int i = 0; i < length; i++) {
                    made[seen + i] = made[seen + i - back];
                }
            }
            seen += length;
        }
        return direct(made);
    }

    private static ByteBuffer direct(byte[] bytes) {
        return ByteBuffer.allocateDirect(bytes.length).put(bytes).flip();
    }
}
