package dev.lockstep.block.qed;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.CopyBuffers;
import dev.lockstep.block.Zeroes;
import dev.lockstep.block.format.Backing;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.graph.Step;

import java.nio.ByteBuffer;

/// What the guest sees, and writing where it has no place yet: new clusters are written whole, with
/// what was seen there before around the request. Writers hold the clusters exclusively.
///
/// @param backing what is read where the image has nothing
record ClusterWriter(Tables tables, HostFile file, Backing backing) {
    /// Fills the buffer from the guest's bytes at `offset` on.
    void read(long offset, ByteBuffer target) throws BlockException {
        int end = target.limit();
        while (target.hasRemaining()) {
            Run run = tables.lookup(offset, target.remaining());
            target.limit(target.position() + (int) run.length());
            switch (run.kind()) {
                case DATA -> {
                    file.before(Step.READ_AIO);
                    file.read(run.host(), target);
                }
                case ZERO -> Zeroes.put(target);
                case UNALLOCATED -> {
                    file.before(Step.READ_BACKING_AIO);
                    backing.read(offset, target);
                }
            }
            target.limit(end);
            offset += run.length();
        }
    }

    /// Fills the buffer if that is possible without blocking.
    boolean readNow(long offset, ByteBuffer target) throws BlockException {
        int start = target.position();
        int end = target.limit();
        boolean done = true;
        while (done && target.hasRemaining()) {
            Run run = tables.lookupNow(offset, target.remaining());
            if (run == null) {
                done = false;
                break;
            }
            target.limit(target.position() + (int) run.length());
            done =
                    switch (run.kind()) {
                        case DATA -> file.readNow(run.host(), target);
                        case UNALLOCATED -> backing.readNow(offset, target);
                        case ZERO -> {
                            Zeroes.put(target);
                            yield true;
                        }
                    };
            target.limit(end);
            offset += run.length();
        }
        if (!done) {
            target.position(start);
        }
        return done;
    }

    /// Whether guest bytes are known to read as zeroes, without reading them.
    boolean readsAsZero(long offset, long length) throws BlockException {
        for (long at = offset; at < offset + length; ) {
            Run run = tables.lookup(at, offset + length - at);
            boolean zero =
                    switch (run.kind()) {
                        case DATA -> false;
                        case ZERO -> true;
                        case UNALLOCATED -> at >= backing.bytes();
                    };
            if (!zero) {
                return false;
            }
            at += run.length();
        }
        return true;
    }

    /// Writes all of the buffer.
    void write(long offset, ByteBuffer source) throws BlockException {
        int end = source.limit();
        while (source.hasRemaining()) {
            Run run = tables.lookup(offset, source.remaining());
            source.limit(source.position() + (int) run.length());
            switch (run.kind()) {
                case DATA -> {
                    file.before(Step.WRITE_AIO);
                    file.write(run.host(), source);
                }
                case ZERO, UNALLOCATED -> writeNew(offset, source);
            }
            source.limit(end);
            offset += run.length();
        }
    }

    /// Gives what reads as zeroes a place, unless something else is among it.
    boolean place(long offset, long length) throws BlockException {
        Header header = tables.header();
        long end = header.clusterEnd(offset + length);
        for (long at = header.clusterStart(offset); at < end; ) {
            Run run = tables.lookup(at, end - at);
            if (run.kind() != Run.Kind.DATA) {
                if (!readsAsZero(at, run.length())) {
                    return false;
                }
                long host = tables.allocate(run.length() >> header.clusterBits()) - at;
                for (long each = at; each < at + run.length(); each += header.clusterBytes()) {
                    tables.set(each, host + each);
                }
            }
            at += run.length();
        }
        return true;
    }

    private void writeNew(long offset, ByteBuffer source) throws BlockException {
        Header header = tables.header();
        long start = header.clusterStart(offset);
        long from = offset;
        long to = offset + source.remaining();
        long end = header.clusterEnd(to);
        long host = tables.allocate((end - start) >> header.clusterBits()) - start;
        boolean bare = readsAsZero(start, from - start) && readsAsZero(to, end - to);
        if (bare) {
            file.before(Step.WRITE_AIO);
            file.write(host + from, source);
        } else if (end - start <= CopyBuffers.BYTES) {
            writeTogether(host, start, from, to, end, source);
        } else {
            copy(host, start, from);
            copy(host, to, end);
            file.before(Step.WRITE_AIO);
            file.write(host + from, source);
        }
        for (long at = start; at < end; at += header.clusterBytes()) {
            tables.set(at, host + at);
        }
    }

    private void writeTogether(
            long host, long start, long from, long to, long end, ByteBuffer source)
            throws BlockException {
        ByteBuffer whole = CopyBuffers.take();
        try {
            file.before(Step.COW_READ);
            read(start, whole.limit((int) (from - start)));
            whole.limit(whole.capacity()).put(source);
            read(to, whole.limit((int) (end - start)));
            file.before(Step.WRITE_AIO);
            file.write(host + start, whole.flip());
        } finally {
            CopyBuffers.giveBack(whole);
        }
    }

    /// Copies what the guest sees at a range to the range's new place, which holds zeroes.
    private void copy(long host, long from, long to) throws BlockException {
        ByteBuffer buffer = CopyBuffers.take();
        try {
            for (long at = from; at < to; at += buffer.limit()) {
                buffer.clear().limit((int) Math.min(buffer.capacity(), to - at));
                file.before(Step.COW_READ);
                read(at, buffer);
                if (!Zeroes.fill(buffer.flip())) {
                    file.before(Step.COW_WRITE);
                    file.write(host + at, buffer);
                }
            }
        } finally {
            CopyBuffers.giveBack(buffer);
        }
    }
}
