package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.Findings;
import dev.lockstep.block.format.MemoryBudget;
import dev.lockstep.block.qcow2.layout.Header;

/// One pass over an image.
final class Scan {
    private final ImageFile image;
    private final Findings findings;
    private final References references;
    private final RefcountScan refcounts;
    private final EntryScan entries;
    private final TableWalk tables;
    private final boolean mend;
    private boolean bitmapsSound = true;
    private long imageEnd;

    private Scan(ImageFile image, Findings findings, MemoryBudget budget, boolean mend) {
        this.image = image;
        this.findings = findings;
        this.mend = mend;
        references = new References(image, findings, budget);
        refcounts = new RefcountScan(image, findings, references);
        entries = new EntryScan(image, findings, references, mend);
        tables = new TableWalk(image, findings, references, budget, mend);
    }

    /// Reads everything and changes nothing.
    static Scan of(ImageFile image, Findings findings, MemoryBudget budget) throws BlockException {
        Scan scan = new Scan(image, findings, budget, false);
        scan.run();
        return scan;
    }

    /// Mends entries that cannot be, or drops them.
    static void mend(ImageFile image, MemoryBudget budget) throws BlockException {
        Scan scan = new Scan(image, new Findings(_ -> {}), budget, true);
        scan.run();
        if (!scan.bitmapsSound) {
            image.dropBitmaps();
        }
        image.sync();
    }

    private void run() throws BlockException {
        Header header = image.header();
        refcounts.run();
        references.addFixed("the header", 0, Math.min(header.clusterBytes(), image.size()), 1);
        if (header.snapshotCount() > 0) {
            references.addFixed(
                    "the snapshot table", header.snapshotsOffset(), image.snapshotTableBytes(), 1);
        }
        bitmapsSound = new BitmapScan(image, findings, references).run();
        tables.readL1Tables();
        tables.walk(entries);
        if (!mend) {
            imageEnd = references.compare();
        }
    }

    /// Puts COPIED flags right.
    static void mendCopiedFlags(ImageFile image, MemoryBudget budget) throws BlockException {
        Findings ignored = new Findings(_ -> {});
        Scan scan = Scan.of(image, ignored, budget);
        TableWalk walk =
                new TableWalk(
                        image, ignored, new References(image, ignored, budget), budget, false);
        walk.readL1Tables();
        walk.walk(new CopiedFlags(image, scan.references));
        image.sync();
    }

    References references() {
        return references;
    }

    /// Whether refcounts cannot be changed where they are.
    boolean isStructureDamaged() {
        return refcounts.damaged() || references.isStructureShared();
    }

    CheckResult result() {
        Header header = image.header();
        return new CheckResult(
                findings.corruptions(),
                findings.leaks(),
                findings.readErrors(),
                0,
                0,
                imageEnd,
                Math.ceilDiv(header.size(), (long) header.clusterBytes()),
                entries.allocated(),
                entries.fragmented(),
                entries.compressed());
    }
}
