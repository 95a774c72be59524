package dev.lockstep.block.qed;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Extent;
import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.Counts;
import dev.lockstep.block.format.Findings;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.format.MemoryBudget;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Resizable;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.function.Consumer;

/// Checks an image, and repairs it. (qed_spec.txt, "Consistency checking")
///
/// Every cluster may be used once. An entry that leads where nothing can be is made 0, as QEMU
/// does, so that what is below the image is seen there. Which of two users of a cluster is wrong
/// nobody can tell: that stays. Clusters that nobody uses are given back where they are the last of
/// the file. It takes a byte a cluster in use, and no time for holes in tables.
public final class QedChecker {
    /// What a pass over the image may take of the heap.
    private static final long MEMORY_BYTES = Runtime.getRuntime().maxMemory() / 2;

    private static final int PIECE_BYTES = 1 << 20;

    private final HostFile file;
    private final Header header;
    private final Findings findings;
    private final Counts used;
    private final boolean mend;

    /// As QEMU has it, an incomplete cluster at the end is none.
    private final long end;

    private long usedClusters;
    private long usedEnd;
    private long allocated;
    private long fragmented;
    private long lastHost;
    private boolean changed;

    private QedChecker(HostFile file, Header header, Findings findings, boolean mend) {
        this.file = file;
        this.header = header;
        this.findings = findings;
        this.mend = mend;
        used = new Counts(new MemoryBudget(file.description(), MEMORY_BYTES));
        end = header.clusterStart(file.size());
    }

    /// Checks the image in a file which nobody else uses, and repairs what is asked for.
    ///
    /// @param gate the image's file
    /// @param findings is told a sentence for each thing that is wrong
    /// @return what is wrong still, and what was repaired
    /// @throws BlockException if the header is such that the image cannot even be opened, if it
    ///     takes too much memory, or a repair could not be written
    public static CheckResult check(Gate gate, Repair repair, Consumer<String> findings)
            throws BlockException {
        HostFile file = HostFile.ofImage(gate);
        Header header = Header.read(file);
        CheckResult before = scan(file, header, findings, false);
        if (repair == Repair.NONE) {
            return before;
        }
        CheckResult after = before;
        if (!before.isSound() && repair == Repair.ALL) {
            after = scan(file, header, _ -> {}, true);
            after = scan(file, header, _ -> {}, false);
        }
        if (after.isSound() && after.leaks() > 0) {
            cutOff(file, header);
            after = scan(file, header, _ -> {}, false);
        }
        if (after.isSound() && header.has(Header.NEED_CHECK)) {
            file.sync();
            file.write(0, header.with(Header.NEED_CHECK, false).encode());
            file.sync();
        }
        return after.since(before);
    }

    private static CheckResult scan(
            HostFile file, Header header, Consumer<String> listener, boolean mend)
            throws BlockException {
        Findings findings = new Findings(listener);
        QedChecker pass = new QedChecker(file, header, findings, mend);
        pass.run();
        return pass.result();
    }

    private static void cutOff(HostFile file, Header header) throws BlockException {
        QedChecker pass = new QedChecker(file, header, new Findings(_ -> {}), false);
        pass.run();
        if (file.gate().device() instanceof Resizable && pass.usedEnd < file.size()) {
            file.gate().resize(pass.usedEnd);
        }
    }

    private CheckResult result() {
        long total = Math.ceilDiv(header.size(), (long) header.clusterBytes());
        return new CheckResult(
                findings.corruptions(),
                findings.leaks(),
                findings.readErrors(),
                0,
                0,
                0,
                total,
                allocated,
                fragmented,
                0);
    }

    private void run() throws BlockException {
        use(0, header.headerBytes());
        use(header.l1Offset(), header.tableBytes());
        scanTable(header.l1Offset(), this::l1Entry);
        if (changed) {
            file.sync();
        }
        long leaks = (end >> header.clusterBits()) - usedClusters;
        if (leaks > 0) {
            findings.leaks("%d clusters are used by nobody".formatted(leaks), leaks);
        }
    }

    /// Looks at an entry that is not 0.
    private interface Entry {
        /// @return false if nothing can be where it leads to
        boolean look(long place, long value) throws BlockException;
    }

    private boolean l1Entry(long place, long value) throws BlockException {
        if (!header.isPlace(value, header.tableBytes(), end)) {
            findings.corruption("the L1 entry at 0x%x cannot be: 0x%x".formatted(place, value));
            return false;
        }
        if (use(value, header.tableBytes())) {
            scanTable(value, this::l2Entry);
        }
        return true;
    }

    private boolean l2Entry(long place, long value) throws BlockException {
        if (value == Tables.ZERO) {
            return true;
        }
        if (!header.isPlace(value, header.clusterBytes(), end)) {
            findings.corruption("the L2 entry at 0x%x cannot be: 0x%x".formatted(place, value));
            return false;
        }
        allocated++;
        if (lastHost != 0 && value != lastHost + header.clusterBytes()) {
            fragmented++;
        }
        lastHost = value;
        use(value, header.clusterBytes());
        return true;
    }

    /// Counts clusters as used.
    ///
    /// @return false if one of them was already, which is a contradiction
    private boolean use(long offset, long length) throws BlockException {
        boolean free = true;
        for (long at = offset; at < offset + length; at += header.clusterBytes()) {
            long cluster = at >> header.clusterBits();
            if (used.get(cluster) != 0) {
                findings.corruption("the cluster at 0x%x is used more than once".formatted(at));
                free = false;
            } else {
                used.set(cluster, 1);
                usedClusters++;
            }
        }
        usedEnd = Math.max(usedEnd, offset + length);
        return free;
    }

    /// Looks at all entries of a table. Holes of the file have none.
    private void scanTable(long offset, Entry entry) throws BlockException {
        long tableEnd = offset + header.tableBytes();
        for (long at = offset; at < tableEnd; ) {
            Extent next = file.gate().extents(at, tableEnd - at).getFirst();
            long pieceEnd = Math.min(next.end(), at + PIECE_BYTES);
            // Entries are not cut, whatever the extents of the file are.
            pieceEnd = Math.min(tableEnd, (pieceEnd + Long.BYTES - 1) & -Long.BYTES);
            if (next.kind() == Extent.Kind.DATA) {
                scanPiece(at, (int) (pieceEnd - at), entry);
                at = pieceEnd;
            } else {
                at = Math.min(tableEnd, Math.max(at + Long.BYTES, next.end() & -Long.BYTES));
            }
        }
    }

    private void scanPiece(long offset, int length, Entry entry) throws BlockException {
        ByteBuffer piece = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
        try {
            file.read(offset, piece);
        } catch (BlockException e) {
            findings.unreadable(e.getMessage());
            return;
        }
        boolean mended = false;
        for (int at = 0; at < length; at += Long.BYTES) {
            long value = piece.getLong(at);
            if (value != 0 && !entry.look(offset + at, value) && mend) {
                piece.putLong(at, 0);
                mended = true;
            }
        }
        if (mended) {
            file.write(offset, piece.clear());
            changed = true;
        }
    }
}
