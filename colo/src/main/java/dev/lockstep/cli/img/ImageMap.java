package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.Extent;
import dev.lockstep.block.Located;
import dev.lockstep.block.Located.Place;
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
    /// @param data whether it may be anything but zeroes
    /// @param position where it lies in a file, or -1
    /// @param file the file's name, or empty
    record Entry(
            long length, int depth, boolean present, boolean data, long position, String file) {
        /// Whether another that follows goes on as this one does.
        boolean continuesWith(Entry other) {
            return depth == other.depth
                    && present == other.present
                    && data == other.data
                    && file.equals(other.file)
                    && (position < 0 ? other.position < 0 : position + length == other.position);
        }

        Entry plus(Entry other) {
            return new Entry(length + other.length, depth, present, data, position, file);
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
        long length = Math.min(extent.end(), end) - position;
        Extent rest = new Extent(position, length, extent.kind(), extent.depth());
        Owner owner = layers.owner(rest);
        Node layer = layers.get(owner.index());
        boolean data = rest.kind() == Extent.Kind.DATA;
        if (layers.isRaw(owner.index())) {
            return new Entry(length, owner.index(), true, data, position, layer.filename());
        }
        if (!data || !(layer.device() instanceof Located located)) {
            return new Entry(length, owner.index(), owner.present(), data, -1, "");
        }
        Place place = located.locate(position, length);
        Entry found = new Entry(place.length(), owner.index(), true, true, place.position(), "");
        return place.position() < 0 ? found : inFile(found, layer, place.child());
    }

    /// Data in a hole of the file that it lies in is known to be zeroes.
    private Entry inFile(Entry entry, Node layer, String child) throws BlockException {
        Gate edge = layer.children().get(child);
        if (edge == null) {
            return entry;
        }
        Node file = Layers.node(image, edge);
        String name = file == null ? "" : file.filename();
        long there = Math.min(entry.length(), edge.size() - entry.position());
        if (there <= 0) {
            return entry;
        }
        Extent host = edge.extents(entry.position(), there).getFirst();
        return new Entry(
                host.length(),
                entry.depth(),
                true,
                host.kind() == Extent.Kind.DATA,
                entry.position(),
                name);
    }
}
