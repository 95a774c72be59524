package dev.lockstep.block.quorum;

import dev.lockstep.block.BlockDevice;
import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Capabilities;
import dev.lockstep.block.Capabilities.Support;
import dev.lockstep.block.Extent;
import dev.lockstep.block.RangeLock;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.quorum.QuorumEvent.Operation;
import dev.lockstep.block.quorum.QuorumOptions.ReadPattern;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;

/// Several copies of one disk. See the package's description.
public final class QuorumDevice implements BlockDevice {
    /// As many copies as anybody has asked for, and more; each costs a thread a request.
    public static final int CHILDREN_MAX = 32;

    private final String name;
    private final QuorumOptions options;
    private final Consumer<QuorumEvent> listener;
    private final long size;
    private final RangeLock locks = new RangeLock();

    /// Replaced as a whole; a request uses the one it found.
    private volatile List<QuorumChild> children;

    /// A quorum of children of equal size.
    ///
    /// @param listener is told of events on the request's thread; must be quick and must not block
    /// @throws BlockException if the options do not fit the children
    public QuorumDevice(
            String name,
            QuorumOptions options,
            List<QuorumChild> children,
            Consumer<QuorumEvent> listener)
            throws BlockException {
        this.name = name;
        this.options = options;
        this.listener = listener;
        this.children = List.copyOf(children);
        if (children.isEmpty()) {
            throw invalid("a quorum needs a child");
        }
        this.size = children.getFirst().gate().size();
        checkChildren(this.children);
    }

    /// The children, in the order in which they are read.
    public List<QuorumChild> children() {
        return children;
    }

    /// Adds a child that holds the same bytes. The gates above are drained meanwhile.
    ///
    /// @throws BlockException if it does not fit
    public void addChild(QuorumChild child) throws BlockException {
        List<QuorumChild> more = new ArrayList<>(children);
        more.add(child);
        checkChildren(more);
        children = List.copyOf(more);
    }

    /// Removes a child. The gates above are drained meanwhile.
    ///
    /// @throws BlockException if there is none of that name, or fewer than the threshold would
    ///     remain
    public void removeChild(String node) throws BlockException {
        List<QuorumChild> fewer =
                children.stream().filter(child -> !child.node().equals(node)).toList();
        if (fewer.size() == children.size()) {
            throw invalid("there is no child '%s'".formatted(node));
        }
        checkChildren(fewer);
        children = fewer;
    }

    @Override
    public String description() {
        return "quorum " + name;
    }

    @Override
    public long size() {
        return size;
    }

    /// Native is what every child does by itself.
    @Override
    public Capabilities capabilities() {
        List<Capabilities> all = children.stream().map(c -> c.gate().capabilities()).toList();
        return new Capabilities(
                all.stream().anyMatch(Capabilities::readOnly),
                Support.NATIVE,
                Support.NATIVE,
                all.stream().allMatch(c -> c.discard() == Support.NATIVE)
                        ? Support.NATIVE
                        : Support.NONE,
                1,
                false,
                all.stream().mapToInt(Capabilities::preferredBlockSize).max().orElse(1),
                all.stream().allMatch(Capabilities::sharedFlush));
    }

    @Override
    public void read(long offset, ByteBuffer target) throws BlockException {
        if (options.readPattern() == ReadPattern.FIFO) {
            readFirst(offset, target);
            return;
        }
        int length = target.remaining();
        try (var _ =
                options.rewriteCorrupted()
                        ? locks.exclusive(offset, length)
                        : locks.shared(offset, length)) {
            readByVote(offset, target);
        }
    }

    @Override
    public void write(long offset, ByteBuffer source, Set<WriteFlag> flags) throws BlockException {
        int length = source.remaining();
        List<QuorumChild> voters = children;
        try (var _ = locks.exclusive(offset, length)) {
            change(
                    voters,
                    offset,
                    length,
                    (_, child) -> child.gate().write(offset, source.duplicate(), flags));
        }
        source.position(source.limit());
    }

    @Override
    public void zero(long offset, long length, Set<WriteFlag> flags) throws BlockException {
        List<QuorumChild> voters = children;
        try (var _ = locks.exclusive(offset, length)) {
            change(voters, offset, length, (_, child) -> child.gate().zero(offset, length, flags));
        }
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
        zero(offset, length, WriteFlag.UNMAP);
    }

    @Override
    public void flush() throws BlockException {
        Ballot ballot = Ballot.hold(children, (_, child) -> child.gate().flush());
        reportFailures(Operation.FLUSH, ballot, 0, size);
        if (ballot.successes() < options.threshold()) {
            throw ballot.commonest().again();
        }
    }

    @Override
    public List<Extent> extents(long offset, long length) throws BlockException {
        List<Extent> agreed = null;
        BlockException failure = null;
        for (QuorumChild child : children) {
            try {
                List<Extent> found = child.gate().extents(offset, length);
                agreed = agreed == null ? found : ExtentVote.agree(agreed, found);
                if (options.readPattern() == ReadPattern.FIFO) {
                    return agreed;
                }
            } catch (BlockException e) {
                failure = e;
            }
        }
        if (agreed == null) {
            throw Objects.requireNonNull(failure);
        }
        return agreed;
    }

    @Override
    public boolean readNow(long offset, ByteBuffer target) throws BlockException {
        List<QuorumChild> voters = children;
        QuorumChild first = voters.getFirst();
        return (options.readPattern() == ReadPattern.FIFO || voters.size() == 1)
                && first.gate().readNow(offset, target);
    }

    /// With several children one of them might write and another decline.
    @Override
    public boolean writeNow(long offset, ByteBuffer source) throws BlockException {
        List<QuorumChild> voters = children;
        return voters.size() == 1 && voters.getFirst().gate().writeNow(offset, source);
    }

    @Override
    public void close() {}

    private void readFirst(long offset, ByteBuffer target) throws BlockException {
        int length = target.remaining();
        List<QuorumChild> voters = children;
        for (int index = 0; ; index++) {
            QuorumChild child = voters.get(index);
            try {
                child.gate().read(offset, target.duplicate());
                target.position(target.limit());
                return;
            } catch (BlockException e) {
                reportBad(Operation.READ, e.getMessage(), child, offset, length);
                if (index == voters.size() - 1) {
                    listener.accept(new QuorumEvent.Failure(name, offset, length));
                    throw e;
                }
            }
        }
    }

    /// The first child's bytes go straight to the target, the others' to buffers of their own.
    private void readByVote(long offset, ByteBuffer target) throws BlockException {
        int length = target.remaining();
        List<QuorumChild> voters = children;
        List<ByteBuffer> answers = new ArrayList<>(List.of(target.slice()));
        while (answers.size() < voters.size()) {
            answers.add(ByteBuffer.allocate(length));
        }
        Ballot ballot =
                Ballot.hold(
                        voters,
                        (index, child) ->
                                child.gate().read(offset, answers.get(index).duplicate()));
        reportFailures(Operation.READ, ballot, offset, length);
        int winner = winner(ballot, answers);
        if (ballot.successes() < options.threshold() || winner < 0) {
            listener.accept(new QuorumEvent.Failure(name, offset, length));
            throw ballot.successes() < options.threshold()
                    ? ballot.commonest().again()
                    : disagreement(offset, length);
        }
        ByteBuffer truth = answers.get(winner);
        for (int index = 0; index < voters.size(); index++) {
            if (!ballot.failed(index) && !answers.get(index).equals(truth)) {
                outvoted(voters.get(index), offset, truth);
            }
        }
        if (winner == 0) {
            target.position(target.limit());
        } else {
            target.put(truth.duplicate());
        }
    }

    /// The first answer that the most children gave, or -1 if those are too few.
    private int winner(Ballot ballot, List<ByteBuffer> answers) {
        int winner = -1;
        long most = options.threshold() - 1L;
        for (int index = 0; index < answers.size(); index++) {
            long votes = 0;
            for (int other = 0; other < answers.size(); other++) {
                boolean counts = !ballot.failed(index) && !ballot.failed(other);
                votes += counts && answers.get(index).equals(answers.get(other)) ? 1 : 0;
            }
            if (votes > most) {
                most = votes;
                winner = index;
            }
        }
        return winner;
    }

    private void outvoted(QuorumChild child, long offset, ByteBuffer truth) {
        listener.accept(
                new QuorumEvent.ReportBad(
                        Operation.READ, null, child.node(), offset, truth.remaining()));
        if (options.rewriteCorrupted()) {
            try {
                child.gate().write(offset, truth.duplicate(), WriteFlag.NONE);
            } catch (BlockException e) {
                reportBad(Operation.WRITE, e.getMessage(), child, offset, truth.remaining());
            }
        }
    }

    private void change(List<QuorumChild> voters, long offset, long length, Ballot.Vote vote)
            throws BlockException {
        Ballot ballot = Ballot.hold(voters, vote);
        reportFailures(Operation.WRITE, ballot, offset, length);
        if (ballot.successes() < options.threshold()) {
            listener.accept(new QuorumEvent.Failure(name, offset, length));
            throw ballot.commonest().again();
        }
    }

    private void reportFailures(Operation operation, Ballot ballot, long offset, long length) {
        for (int index = 0; index < ballot.children().size(); index++) {
            BlockException failure = ballot.failures().get(index);
            if (failure != null) {
                reportBad(
                        operation,
                        failure.getMessage(),
                        ballot.children().get(index),
                        offset,
                        length);
            }
        }
    }

    private void reportBad(
            Operation operation, String error, QuorumChild child, long offset, long length) {
        listener.accept(new QuorumEvent.ReportBad(operation, error, child.node(), offset, length));
    }

    private BlockException disagreement(long offset, long length) {
        return BlockException.at(
                Kind.IO,
                this,
                "read",
                offset,
                length,
                "fewer than %d children agree".formatted(options.threshold()));
    }

    private void checkChildren(List<QuorumChild> proposed) throws BlockException {
        int count = proposed.size();
        if (options.threshold() < 1 || options.threshold() > count) {
            throw invalid(
                    "a vote threshold of %d with %d children; it must be between 1 and their number"
                            .formatted(options.threshold(), count));
        }
        if (count > CHILDREN_MAX) {
            throw invalid("more than %d children".formatted(CHILDREN_MAX));
        }
        if (proposed.stream().map(QuorumChild::node).distinct().count() != count) {
            throw invalid("two children have the same name");
        }
        for (QuorumChild child : proposed) {
            if (child.gate().size() != size) {
                throw invalid(
                        "child '%s' has %d bytes, the others have %d"
                                .formatted(child.node(), child.gate().size(), size));
            }
        }
    }

    private BlockException invalid(String reason) {
        return new BlockException(Kind.INVALID, "%s: %s".formatted(description(), reason));
    }
}
