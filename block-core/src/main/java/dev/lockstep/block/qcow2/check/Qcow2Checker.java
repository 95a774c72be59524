package dev.lockstep.block.qcow2.check;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.format.CheckResult;
import dev.lockstep.block.format.Findings;
import dev.lockstep.block.format.MemoryBudget;
import dev.lockstep.block.format.Repair;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.layout.Header;

import java.util.function.Consumer;

/// Checks an image, and repairs it.
public final class Qcow2Checker {
    /// What a pass over the image may take of the heap.
    private static final long MEMORY_BYTES = Runtime.getRuntime().maxMemory() / 2;

    private final ImageFile image;
    private final long memoryBytes;

    private Qcow2Checker(ImageFile image, long memoryBytes) {
        this.image = image;
        this.memoryBytes = memoryBytes;
    }

    /// Checks the image in a file which nobody else uses, and repairs what is asked for.
    ///
    /// @param file the image; without its backing file and its data file, which are not looked at
    /// @param findings is told a sentence for each thing that is wrong
    /// @return what is wrong still, and what was repaired
    /// @throws BlockException if the header or the snapshot table are such that the image cannot
    ///     even be opened, if it takes too much memory, or a repair could not be written
    public static CheckResult check(Gate file, Repair repair, Consumer<String> findings)
            throws BlockException {
        return check(file, repair, findings, MEMORY_BYTES);
    }

    /// Gives the image in a file which nobody else uses refcounts of another width: a new structure
    /// is written beside the old one, and then the header tells of it.
    ///
    /// @param bits a power of two from 1 to 64
    /// @throws BlockException if the image is damaged, or a refcount does not fit; nothing has
    ///     changed then
    public static void changeRefcountWidth(Gate file, int bits) throws BlockException {
        ImageFile image = ImageFile.open(file);
        Qcow2Checker checker = new Qcow2Checker(image, MEMORY_BYTES);
        Scan scan = checker.scan(_ -> {});
        if (!scan.result().isSound()) {
            throw new BlockException(
                    Kind.CORRUPT,
                    "%s: the image is damaged: 'lockstep img check -r all' may repair it"
                            .formatted(image.description()));
        }
        long most = bits == Long.SIZE ? Long.MAX_VALUE : (1L << bits) - 1;
        References references = scan.references();
        for (long at = references.next(0); at >= 0; at = references.next(at + 1)) {
            if (references.found(at) > most) {
                throw new BlockException(
                        Kind.UNSUPPORTED,
                        "%s: the cluster at 0x%x has %d references, more than %d bits can count"
                                .formatted(
                                        image.description(),
                                        at << image.geometry().clusterBits(),
                                        references.found(at),
                                        bits));
            }
        }
        int order = Integer.numberOfTrailingZeros(bits);
        new RefcountRebuild(image, references, order).run();
    }

    static CheckResult check(Gate file, Repair repair, Consumer<String> findings, long memoryBytes)
            throws BlockException {
        return new Qcow2Checker(ImageFile.open(file), memoryBytes).check(repair, findings);
    }

    private CheckResult check(Repair repair, Consumer<String> listener) throws BlockException {
        CheckResult before = scan(listener).result();
        if (repair == Repair.NONE) {
            return before;
        }
        if (!before.isClean()) {
            repair(repair, before);
        }
        CheckResult after = before.isClean() ? before : scan(_ -> {}).result();
        if (after.isSound()) {
            markSound();
        }
        return after.since(before);
    }

    private void repair(Repair repair, CheckResult before) throws BlockException {
        boolean all = repair == Repair.ALL;
        if (all && !before.isSound()) {
            Scan.mend(image, budget());
            raise();
        }
        if (all || before.isSound()) {
            Scan.mendCopiedFlags(image, budget());
        }
        Scan scan = scan(_ -> {});
        if (!scan.isStructureDamaged()) {
            new RefcountEdit(image, scan.references()).lower();
        }
    }

    private void raise() throws BlockException {
        Scan scan = scan(_ -> {});
        RefcountEdit edit = new RefcountEdit(image, scan.references());
        if (!scan.isStructureDamaged() && edit.canRaise()) {
            edit.raise();
        } else {
            new RefcountRebuild(image, scan.references()).run();
        }
    }

    private void markSound() throws BlockException {
        Header header = image.header();
        if (header.has(Feature.DIRTY) || header.has(Feature.CORRUPT)) {
            image.writeHeader(
                    header.with(header.features().without(Feature.DIRTY).without(Feature.CORRUPT)));
            image.sync();
        }
    }

    private Scan scan(Consumer<String> listener) throws BlockException {
        return Scan.of(image, new Findings(listener), budget());
    }

    private MemoryBudget budget() {
        return new MemoryBudget(image.description(), memoryBytes);
    }
}
