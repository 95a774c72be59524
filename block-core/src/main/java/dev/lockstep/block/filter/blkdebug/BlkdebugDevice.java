package dev.lockstep.block.filter.blkdebug;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.file.HostError;
import dev.lockstep.block.filter.BlockFilter;
import dev.lockstep.block.filter.blkdebug.Rule.IoType;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Step;
import dev.lockstep.block.graph.StepObserver;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.Consumer;

/// Fails the requests that its rules pick, and cuts them up as its limits ask for.
final class BlkdebugDevice extends BlockFilter implements StepObserver, Breakpoints {
    /// What is written at once in place of a zero.
    private static final int ZEROES_BYTES = 1 << 20;

    private final Rules rules;
    private final Limits limits;
    private final Suspensions suspensions = new Suspensions();

    BlkdebugDevice(Gate image, Rules rules, Limits limits) {
        super(image, Math.max(1, limits.align()));
        this.rules = rules;
        this.limits = limits;
    }

    @Override
    public void before(Step step) {
        rules.before(step);
        suspensions.before(step);
    }

    @Override
    public void breakAt(Step step, String tag, Consumer<String> listener) {
        suspensions.breakAt(step, tag, listener);
    }

    @Override
    public boolean remove(String tag) {
        return suspensions.remove(tag);
    }

    @Override
    public boolean resume(String tag) {
        return suspensions.resume(tag);
    }

    @Override
    public void await(String tag) throws InterruptedException {
        suspensions.await(tag);
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        int end = target.limit();
        for (long at = offset; target.hasRemaining(); ) {
            int count = (int) Limits.piece(target.remaining(), limits.transferMax());
            check(IoType.READ, at, count);
            super.read(at, target.limit(target.position() + count));
            target.limit(end);
            at += count;
        }
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        before(Step.PWRITEV);
        try {
            writePieces(offset, source, flags);
        } finally {
            before(Step.PWRITEV_DONE);
        }
    }

    private void writePieces(long offset, ByteBuffer source, Set<WriteFlag> flags)
            throws BlockException {
        int end = source.limit();
        for (long at = offset; source.hasRemaining(); ) {
            int count = (int) Limits.piece(source.remaining(), limits.transferMax());
            check(IoType.WRITE, at, count);
            super.write(at, source.limit(source.position() + count), flags);
            source.limit(end);
            at += count;
        }
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        before(Step.PWRITEV_ZERO);
        try {
            zeroPieces(offset, offset + length, flags);
        } finally {
            before(Step.PWRITEV_DONE);
        }
    }

    private void zeroPieces(long offset, long end, Set<WriteFlag> flags) throws BlockException {
        int unit = Math.max(block(), limits.zeroUnit());
        long first = Math.min(end, Math.ceilDiv(offset, unit) * unit);
        long last = Math.max(first, end / unit * unit);
        if (flags.contains(WriteFlag.FAST) && last - first < end - offset) {
            throw BlockException.at(
                    Kind.UNSUPPORTED,
                    this,
                    "zero",
                    offset,
                    end - offset,
                    "it is not one of whole units of %d bytes".formatted(unit));
        }
        writeZeroes(offset, first, flags);
        for (long at = first; at < last; ) {
            long count = Limits.piece(last - at, limits.zeroMax());
            check(IoType.WRITE_ZEROES, at, count);
            super.zero(at, count, flags);
            at += count;
        }
        writeZeroes(last, end, flags);
    }

    private void writeZeroes(long offset, long end, Set<WriteFlag> flags) throws BlockException {
        Set<WriteFlag> kept = WriteFlag.without(flags, WriteFlag.MAY_UNMAP);
        ByteBuffer zeroes = ByteBuffer.allocate((int) Math.min(end - offset, ZEROES_BYTES));
        for (long at = offset; at < end; at += zeroes.limit()) {
            zeroes.clear().limit((int) Math.min(end - at, ZEROES_BYTES));
            writePieces(at, zeroes, kept);
        }
    }

    /// What comes before the first unit and after the last one is a request of its own.
    @Override
    public void discard(long offset, long length) throws BlockException {
        int unit = Math.max(block(), limits.discardUnit());
        long end = offset + length;
        for (long at = offset; at < end; ) {
            long next = Math.ceilDiv(at, unit) * unit;
            if (next == at) {
                next = end - at > unit ? end / unit * unit : end;
            }
            long count = Limits.piece(Math.min(next, end) - at, limits.discardMax());
            check(IoType.DISCARD, at, count);
            super.discard(at, count);
            at += count;
        }
    }

    @Override
    public void flush() throws BlockException {
        before(Step.FLUSH_TO_OS);
        before(Step.FLUSH_TO_DISK);
        check(IoType.FLUSH, 0, 0);
        super.flush();
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        check(IoType.BLOCK_STATUS, offset, length);
        return super.extents(offset, length);
    }

    private void check(IoType type, long offset, long length) throws BlockException {
        HostError error = rules.judge(type, offset, length);
        if (error != null) {
            throw BlockException.at(
                    error.kind(),
                    this,
                    type.name().toLowerCase(Locale.ROOT).replace('_', ' '),
                    offset,
                    length,
                    "injected fault: " + error.text());
        }
    }
}
