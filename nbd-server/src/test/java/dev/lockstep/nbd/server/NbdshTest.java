package dev.lockstep.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.lockstep.block.memory.MemoryDevice;
import dev.lockstep.nbd.Address;
import dev.lockstep.nbd.Degradation;
import dev.lockstep.nbd.Export;
import dev.lockstep.nbd.Exports;
import dev.lockstep.nbd.conformance.Shows;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;

/// Other people's client library, told to send what a client should not: libnbd through its shell.
@Timeout(120)
class NbdshTest {
    /// What every script begins with: `fails(errno, call, arguments...)` demands that error, and
    /// that the connection is there afterwards.
    private static final String PRELUDE =
            """
            import errno, os, sys
            uri = os.environ['URI']
            SIZE = 1 << 20
            def connect(**options):
                h = nbd.NBD()
                h.set_strict_mode(0)
                h.set_request_structured_replies(options.get('structured', True))
                h.add_meta_context('base:allocation')
                h.connect_uri(uri)
                return h
            def fails(h, code, call, *arguments):
                try:
                    call(*arguments)
                except nbd.Error as e:
                    assert e.errno == errno.errorcode[code], (e.errno, errno.errorcode[code], arguments)
                else:
                    assert False, 'it succeeded: %s' % (arguments,)
                assert h.aio_is_ready(), 'the connection is gone'
            def dies(h, call, *arguments):
                try:
                    call(*arguments)
                except nbd.Error:
                    pass
                assert not h.aio_is_ready(), 'the connection is there'
            """;

    private NbdServer server = NbdServer.start(Exports.of());
    private Export disk = new Export("disk", new MemoryDevice(1 << 20));

    @TempDir private Path folder;

    @BeforeEach
    void serve() throws IOException {
        server.close();
        server = NbdServer.serve(disk);
    }

    @AfterEach
    void stop() {
        server.close();
    }

    @Test
    void unaligned_reads_and_writes_of_any_size_are_exact() throws Exception {
        nbdsh(
                """
                import random
                seed = random.randrange(1 << 30); print('seed', seed); random.seed(seed)
                for structured in (True, False):
                    h = connect(structured=structured)
                    model = bytearray(h.pread(SIZE, 0))
                    for i in range(200):
                        length = random.choice([1, 3, 511, 513, 4095, 65537, 200001])
                        offset = random.randrange(SIZE - length + 1)
                        data = random.randbytes(length)
                        h.pwrite(data, offset, nbd.CMD_FLAG_FUA if i % 7 == 0 else 0)
                        model[offset:offset + length] = data
                        at = random.randrange(SIZE - 70000)
                        assert h.pread(70000, at) == model[at:at + 70000]
                    assert h.pread(SIZE, 0) == model
                    h.shutdown()
                """);
    }

    @Test
    @Shows({"error.einval", "error.enospc", "size.range", "cmd.fua-everywhere"})
    void what_lies_beyond_the_end_is_refused_and_the_session_goes_on() throws Exception {
        nbdsh(
                """
                for structured in (True, False):
                    h = connect(structured=structured)
                    fails(h, errno.EINVAL, h.pread, 2, SIZE - 1)
                    fails(h, errno.EINVAL, h.pread, 1, SIZE)
                    fails(h, errno.EINVAL, h.pread, 1, (1 << 63) - 1)
                    fails(h, errno.ENOSPC, h.pwrite, b'12', SIZE - 1)
                    fails(h, errno.ENOSPC, h.pwrite, b'1' * (1 << 20), 1)
                    fails(h, errno.ENOSPC, h.zero, 2, SIZE - 1)
                    fails(h, errno.EINVAL, h.trim, 2, SIZE - 1)
                    fails(h, errno.EINVAL, h.cache, 2, SIZE - 1)
                    assert h.pread(1, SIZE - 1) == b'\\0'
                """);
    }

    @Test
    @Shows({"error.flag", "cmd.fua-everywhere", "read.df"})
    void flags_where_they_do_not_belong_are_refused_and_fua_is_borne() throws Exception {
        nbdsh(
                """
                h = connect()
                F = nbd.CMD_FLAG_FUA
                h.pread(512, 0, F); h.flush(F); h.trim(512, 0, F); h.zero(512, 0, F)
                h.cache(512, 0, F); h.pwrite(b'1' * 512, 0, F)
                h.block_status(512, 0, lambda *a: 0, F)
                h.pread_structured(SIZE, 0, lambda *a: 0, nbd.CMD_FLAG_DF)
                for flag in (nbd.CMD_FLAG_DF, nbd.CMD_FLAG_NO_HOLE, nbd.CMD_FLAG_REQ_ONE, 1 << 9):
                    fails(h, errno.EINVAL, h.pwrite, b'1', 0, flag)
                    fails(h, errno.EINVAL, h.flush, flag)
                    fails(h, errno.EINVAL, h.trim, 512, 0, flag)
                h = connect(structured=False)
                fails(h, errno.EINVAL, h.pread, 512, 0, nbd.CMD_FLAG_DF)
                """);
    }

    @Test
    @Shows({"read.zero", "write.zero", "trim.zero", "zeroes.zero", "status.zero"})
    void requests_about_nothing_end_no_session() throws Exception {
        nbdsh(
                """
                for structured in (True, False):
                    h = connect(structured=structured)
                    h.pwrite(b'', 0); h.trim(0, 0); h.zero(0, 0); h.cache(0, 0)
                    assert h.pread(0, 0) == b''
                    if structured:
                        fails(h, errno.EINVAL, h.block_status, 0, 0, lambda *a: 0)
                    h.flush()
                """);
    }

    @Test
    @Shows({"size.default-maximum", "size.no-payload"})
    void payloads_of_32_mib_work_and_larger_ones_end_the_session() throws Exception {
        server.close();
        disk = new Export("disk", new MemoryDevice(128 << 20));
        server = NbdServer.serve(disk);
        nbdsh(
                """
                h = connect()
                h.pwrite(b'x' * (32 << 20), 1)
                assert h.pread(32 << 20, 1) == b'x' * (32 << 20)
                h.trim(100 << 20, 0); h.zero(100 << 20, 0); h.cache(100 << 20, 0)
                dies(h, h.pwrite, b'x' * ((32 << 20) + 1), 0)
                h = connect()
                assert h.pread(1, 1) == b'\\0'
                """);
    }

    @Test
    @Shows({"read.cover", "chunk.bounds", "structured.done-last"})
    void a_read_in_chunks_covers_every_byte_once() throws Exception {
        nbdsh(
                """
                h = connect()
                h.pwrite(b'x' * 1000, 100000)
                seen = []
                def chunk(data, offset, status, error):
                    seen.append((offset, len(data) if data else None, status))
                buf = h.pread_structured(SIZE, 0, chunk)
                at = 0
                for offset, length, status in sorted(seen):
                    assert offset == at and length > 0, seen
                    at += length
                assert at == SIZE, seen
                assert any(status == nbd.READ_HOLE for _, _, status in seen), seen
                assert buf.count(b'x') == 1000
                """);
    }

    @Test
    @Shows({"status.consecutive", "cmd.req-one", "status.per-context", "allocation.flags"})
    void block_status_tells_the_extents() throws Exception {
        nbdsh(
                """
                h = connect()
                h.pwrite(b'x' * 65536, 131072)
                extents = []
                h.block_status(SIZE, 0, lambda context, offset, entries, error:
                    extents.append((context, offset, list(entries))))
                context, offset, entries = extents[0]
                assert len(extents) == 1 and context == 'base:allocation' and offset == 0
                assert entries == [131072, 3, 65536, 0, SIZE - 196608, 3], entries
                one = []
                h.block_status(SIZE - 131072, 131072, lambda c, o, e, err: one.append(list(e)),
                    nbd.CMD_FLAG_REQ_ONE)
                assert one == [[65536, 0]], one
                """);
    }

    @Test
    void many_requests_at_once_are_all_answered() throws Exception {
        nbdsh(
                """
                h = connect()
                cookies = [h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray([i % 256]) * 4096),
                    i * 4096) for i in range(256)]
                while cookies:
                    h.poll(-1)
                    cookies = [c for c in cookies if not h.aio_command_completed(c)]
                for i in range(256):
                    assert h.pread(4096, i * 4096) == bytes([i % 256]) * 4096
                """);
    }

    @Test
    @Shows({"list-context.all", "soft.server-goes-on", "abort.ack"})
    void options_are_haggled_over_one_by_one() throws Exception {
        nbdsh(
                """
                h = nbd.NBD()
                h.set_opt_mode(True)
                h.set_strict_mode(0)
                h.connect_uri(uri)
                names = []
                h.opt_list(lambda name, words: names.append(name))
                assert names == ['disk'], names
                contexts = []
                h.opt_list_meta_context(contexts.append)
                assert 'base:allocation' in contexts, contexts
                h.set_export_name('nothing')
                try:
                    h.opt_info()
                    assert False
                except nbd.Error as e:
                    assert e.errno == 'ENOENT', e.errno
                h.set_export_name('disk')
                h.opt_info()
                assert h.get_size() == SIZE
                assert h.get_block_size(nbd.SIZE_MINIMUM) == 1
                assert h.get_block_size(nbd.SIZE_MAXIMUM) == 32 << 20
                h.opt_abort()
                assert h.aio_is_closed()
                """);
    }

    @Test
    void a_server_that_does_without_is_used_as_an_old_one() throws Exception {
        server.close();
        server =
                NbdServer.start(
                        Exports.of(disk),
                        ServerOptions.DEFAULT.without(
                                Set.of(
                                        Degradation.NO_GO,
                                        Degradation.NO_STRUCTURED,
                                        Degradation.NO_TRIM,
                                        Degradation.NO_FLUSH)));
        server.listen(Address.loopback());
        nbdsh(
                """
                h = connect()
                assert not h.get_structured_replies_negotiated()
                assert not h.can_trim() and not h.can_flush() and h.can_zero()
                fails(h, errno.EINVAL, h.trim, 512, 0)
                fails(h, errno.EINVAL, h.flush)
                h.pwrite(b'1', 0)
                assert h.pread(1, 0) == b'1'
                """);
    }

    @Test
    void injected_faults_are_what_a_client_library_reports() throws Exception {
        server.inject(ServerFault.parse("read@4k+4k,times=1,error=ENOMEM"));
        server.inject(ServerFault.parse("write,times=1,drop"));
        nbdsh(
                """
                h = connect()
                fails(h, errno.ENOMEM, h.pread, 512, 4096)
                h.pread(512, 4096)
                dies(h, h.pwrite, b'1', 0)
                h = connect()
                h.pwrite(b'1', 0)
                """);
        server.inject(ServerFault.parse("flush,times=1,corrupt=0"));
        server.inject(ServerFault.parse("read,times=1,cut=20"));
        nbdsh("h = connect(); dies(h, h.flush); h = connect(); dies(h, h.pread, 512, 0)");
    }

    @Test
    @Shows("flags.multi-conn")
    void what_one_connection_wrote_and_flushed_another_reads() throws Exception {
        nbdsh(
                """
                a = connect(); b = connect()
                assert a.can_multi_conn()
                a.pwrite(b'from a', 0); b.flush()
                assert b.pread(6, 0) == b'from a'
                """);
    }

    /// Runs what `nbdsh` runs, with Debian's Python: another one that comes first in the path does
    /// not have the module.
    private void nbdsh(String script) throws IOException, InterruptedException {
        Path file = Files.writeString(folder.resolve("script.py"), PRELUDE + script);
        ProcessBuilder builder =
                new ProcessBuilder(
                        "/usr/bin/python3",
                        "-m",
                        "nbd",
                        "-n",
                        "-c",
                        "exec(open('" + file + "').read())");
        builder.environment().put("URI", server.uri(disk).toString());
        Process process = builder.redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertFalse(
                output.contains("No module named"),
                "nbdsh is missing: apt-get install python3-libnbd; " + output);
        assertEquals(0, process.waitFor(), script + "\n" + output);
    }
}
