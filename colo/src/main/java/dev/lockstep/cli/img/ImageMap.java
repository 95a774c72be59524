package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Located;
import dev.lockstep.block.Located.Place;
import dev.lockstep.block.file.FileDevice;
import dev.lockstep.block.graph.Gate;
import dev.lockstep.block.graph.Node;
import dev.lockstep.cli.img.Layers.Owner;
import dev.lockstep.image.OpenImage;

import org.jspecify.annotations.Nullable;

/// Where the bytes of an image lie, through all of its layers.
final class ImageMap {
    private final OpenImage image;
    private final Allocation allocation;
    private final Layers layers;

    /// What is known of the position that was asked for last, to tell what is alike in one piece.
    private @Nullable Entry ahead;

    private long aheadAt = -1;

    /// A stretch that is alike throughout, and lies in one piece.
    ///
    /// @param depth of its layer, 0 for the image itself
    /// @param present whether that layer has it
    /// @param zero whether it is known to read as zeroes
    /// @param data whether space is kept for it
    /// @param position where it lies in a file, or -1
    /// @param file the file's name, or empty
    record Entry(
            long length,
            int depth,
            boolean present,
            boolean zero,
            boolean data,
            long position,
            String file) {
        /// Whether another that follows goes on as this one does.
        boolean continuesWith(Entry other) {
            return depth == other.depth
                    && present == other.present
                    && zero == other.zero
                    && data == other.data
                    && file.equals(other.file)
                    && (position < 0 ? other.position < 0 : position + length == other.position);
        }

        Entry plus(Entry other) {
            return new Entry(length + other.length, depth, present, zero, data, position, file);
        }
    }

    ImageMap(OpenImage image, Gate gate) {
        this.image = image;
        this.allocation = new Allocation(gate);
        this.layers = Layers.of(image);
    }

    /// The entry that begins at a position, as long as it goes on alike. Positions never go back.
    Entry entry(long position, long end) throws BlockException {
        Entry found = aheadAt == position && ahead != null ? ahead : one(position, end);
        while (position + found.length() < end) {
            aheadAt = position + found.length();
            Entry next = one(aheadAt, end);
            ahead = next;
            if (!found.continuesWith(next)) {
                break;
            }
            found = found.plus(next);
        }
        return found;
    }

    private Entry one(long position, long end) throws BlockException {
        Extent extent = allocation.at(position, end);
        long stop = Math.min(extent.end(), end);
        Owner owner =
                layers.owner(new Extent(position, stop - position, extent.kind(), extent.depth()));
        long length = owner.end() - position;
        Node layer = layers.get(owner.index());
        boolean data = extent.kind() == Extent.Kind.DATA;
        if (layers.isRaw(owner.index())) {
            String name = layer.filename();
            return new Entry(length, owner.index(), true, !data, data, position, name);
        }
        if (!data || !(layer.device() instanceof Located located)) {
            return new Entry(length, owner.index(), owner.present(), !data, data, -1, "");
        }
        Place place = located.locate(position, length);
        return inFile(place, owner.index(), layer);
    }

    private Entry inFile(Place place, int depth, Node layer) throws BlockException {
        Gate edge = layer.children().get(place.child());
        if (edge == null || place.position() < 0) {
            return new Entry(place.length(), depth, true, false, true, -1, "");
        }
        Node file = Layers.node(image, edge);
        String name = file == null ? "" : file.filename();
        long there = Math.min(place.length(), edge.size() - place.position());
        if (there <= 0 || !place.child().equals("file") || !isMostlyHoles(edge, layer)) {
            return new Entry(place.length(), depth, true, false, true, place.position(), name);
        }
        Extent host = edge.extents(place.position(), there).getFirst();
        boolean zero = host.kind() != Extent.Kind.DATA;
        return new Entry(host.length(), depth, true, zero, true, place.position(), name);
    }

    /// Whether a file has much less space than it is long, as after the preallocation of metadata:
    /// then data that lies in its holes is known to be zeroes. Otherwise its holes are not looked
    /// at, as in QEMU, whose measure this is: a ninth, and at least two blocks.
    private static boolean isMostlyHoles(Gate edge, Node layer) {
        if (!(edge.device() instanceof FileDevice file)) {
            return false;
        }
        long block = layer.device().capabilities().preferredBlockSize();
        long blocks = file.size() / block;
        long allocated = file.allocatedBytes() / block;
        return blocks >= Math.max(allocated * 10 / 9, allocated + 2);
    }
}
