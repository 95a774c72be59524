package dev.lockstep.block.overlay;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.Extent;
import dev.lockstep.block.WriteFlag;
import dev.lockstep.block.bitmap.ClusterBitmap;
import dev.lockstep.block.graph.Gate;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/// A store that outlives its process and a power cut: a data file, and a map file that says which
/// clusters of it count. `docs/overlay-format.md` has the bytes and the rules.
///
/// Both files are the caller's, who closes them. In memory it takes a bit for each cluster that was
/// ever held, and as much again where [BufferOverlay#preserve] is used.
public final class DurableStore implements ClusterStore {
    /// Where the map's sectors begin: behind the header's slots.
    private static final long SECTORS_AT = MapHeader.SLOTS * MapHeader.SLOT_BYTES;

    /// As many sectors as are read or written in one step: 64 KiB.
    private static final int STEP_SECTORS = 128;

    /// As many sectors as one sync of the data may cover: 512 KiB of memory. They stand for 248 GiB
    /// in clusters of 64 KiB.
    private static final int ROUND_SECTORS = 1024;

    /// No sector.
    private static final long NONE = -1;

    private final Gate map;
    private final Gate data;
    private final ClusterBitmap held;
    private final ClusterBitmap kept;

    /// The sectors of the map in which bits changed since they were last taken for writing. A bit
    /// changes first and is marked then.
    private final ClusterBitmap changed;

    /// Whether clusters were ever dropped, and the backing device is to be flushed first. It is set
    /// before their bits are cleared.
    private volatile boolean dropping;

    /// Guards: header, broken, and what is written to the map.
    private final ReentrantLock lock = new ReentrantLock();

    private volatile MapHeader header;

    /// Why nothing can be made durable any more: after a header that may have been stored or not,
    /// nobody knows which sectors count.
    private @Nullable BlockException broken;

    private DurableStore(Gate map, Gate data, MapHeader header) {
        this.map = map;
        this.data = data;
        this.header = header;
        this.held = new ClusterBitmap(header.clusters());
        this.kept = new ClusterBitmap(header.clusters());
        this.changed = new ClusterBitmap(sectors(header));
    }

    /// Makes an overlay that holds nothing. What the files held before is lost.
    ///
    /// @throws BlockException if a file cannot be made as long as it has to be
    public static void create(Gate map, Gate data, MapHeader header) throws BlockException {
        map.resize(0);
        map.flush();
        data.resize(0);
        data.resize(Math.ceilDiv(header.size(), (long) MapSector.BYTES) * MapSector.BYTES);
        data.flush();
        map.resize(mapBytes(header));
        map.flush();
        map.write(header.slotOffset(), header.encode(), WriteFlag.NONE);
        map.flush();
    }

    /// Reads the header of a map file.
    ///
    /// @throws BlockException if it is none, or damaged
    public static MapHeader header(Gate map) throws BlockException {
        String file = map.description();
        ByteBuffer slots = ByteBuffer.allocate((int) Math.min(SECTORS_AT, map.size()));
        map.read(0, slots);
        slots.flip();
        MapHeader newest = null;
        for (int at = 0; at + MapHeader.SLOT_BYTES <= slots.limit(); at += MapHeader.SLOT_BYTES) {
            MapHeader found = MapHeader.decode(slots.slice(at, MapHeader.SLOT_BYTES), file);
            if (found != null && (newest == null || found.sequence() > newest.sequence())) {
                newest = found;
            }
        }
        if (newest == null) {
            throw MapHeader.isMagic(slots)
                    ? new BlockException(
                            Kind.CORRUPT,
                            "%s: both headers of the overlay's map are damaged".formatted(file))
                    : new BlockException(
                            Kind.INVALID, "%s is not the map of an overlay".formatted(file));
        }
        return newest;
    }

    /// Opens the store of an overlay.
    ///
    /// @throws BlockException if it is damaged
    public static DurableStore open(Gate map, Gate data) throws BlockException {
        DurableStore store = new DurableStore(map, data, header(map));
        long damaged = store.load();
        if (damaged != NONE) {
            throw new BlockException(
                    Kind.CORRUPT,
                    "%s: the overlay's map is damaged at 0x%x"
                            .formatted(map.description(), SECTORS_AT + damaged * MapSector.BYTES));
        }
        return store;
    }

    /// What a check finds.
    ///
    /// @param clusters how many clusters the disk has
    /// @param held how many of them are held
    /// @param damage what is wrong, a sentence each; empty if nothing is
    public record Health(long clusters, long held, List<String> damage) {}

    /// Looks for damage.
    ///
    /// @throws BlockException if the header is damaged, or the files cannot be read
    public static Health check(Gate map, Gate data) throws BlockException {
        DurableStore store = new DurableStore(map, data, header(map));
        List<String> damage = new ArrayList<>();
        try {
            for (long damaged = store.load(); damaged != NONE; damaged = store.load(damaged + 1)) {
                damage.add(
                        "the sector at 0x%x of the map is damaged"
                                .formatted(SECTORS_AT + damaged * MapSector.BYTES));
            }
        } catch (BlockException e) {
            if (e.kind() != Kind.CORRUPT) {
                throw e;
            }
            damage.add(String.valueOf(e.getMessage()));
        }
        return new Health(store.header.clusters(), store.held.count(), damage);
    }

    private static long sectors(MapHeader header) {
        return Math.ceilDiv(header.clusters(), (long) MapSector.CLUSTERS);
    }

    private static long mapBytes(MapHeader header) {
        return SECTORS_AT + sectors(header) * MapSector.BYTES;
    }

    private long load() throws BlockException {
        if (map.size() < mapBytes(header)) {
            throw tooShort(map, mapBytes(header));
        }
        if (data.size() < header.size()) {
            throw tooShort(data, header.size());
        }
        return load(0);
    }

    private static BlockException tooShort(Gate file, long bytes) {
        return new BlockException(
                Kind.CORRUPT,
                "%s: an overlay's file of %d bytes should have %d"
                        .formatted(file.description(), file.size(), bytes));
    }

    /// Reads the map from a sector on, but for its holes.
    ///
    /// @return the first sector that is damaged, or [#NONE]
    private long load(long first) throws BlockException {
        ByteBuffer step = ByteBuffer.allocate(STEP_SECTORS * MapSector.BYTES);
        step.order(ByteOrder.LITTLE_ENDIAN);
        for (long sector = first; sector < changed.size(); ) {
            long rest = Math.min(STEP_SECTORS, changed.size() - sector);
            Extent extent = map.extents(offset(sector), rest * MapSector.BYTES).getFirst();
            if (extent.kind() != Extent.Kind.DATA && extent.length() >= MapSector.BYTES) {
                sector += extent.length() / MapSector.BYTES;
                continue;
            }
            map.read(offset(sector), step.clear().limit((int) rest * MapSector.BYTES));
            step.flip();
            for (long end = sector + rest; sector < end; sector++) {
                if (MapSector.decode(step, header.generation(), sector, held)
                        == MapSector.Meaning.DAMAGE) {
                    return sector;
                }
            }
        }
        return NONE;
    }

    private static long offset(long sector) {
        return SECTORS_AT + sector * MapSector.BYTES;
    }

    /// What the map file says.
    public MapHeader header() {
        return header;
    }

    @Override
    public long size() {
        return header.size();
    }

    @Override
    public int clusterBytes() {
        return header.clusterBytes();
    }

    @Override
    public Gate data() {
        return data;
    }

    @Override
    public ClusterBitmap held() {
        return held;
    }

    @Override
    public ClusterBitmap kept() {
        return kept;
    }

    @Override
    public long hold(long from, long to) {
        long added = held.set(from, to);
        mark(from, to);
        return added;
    }

    @Override
    public long drop(long from, long to) {
        dropping = true;
        kept.clear(from, to);
        long gone = held.clear(from, to);
        mark(from, to);
        return gone;
    }

    private void mark(long from, long to) {
        changed.set(from / MapSector.CLUSTERS, (to - 1) / MapSector.CLUSTERS + 1);
    }

    /// The data of clusters that a sector claims is durable before the sector is written, and so is
    /// what shows where it claims them no longer. Not twice at a time.
    @Override
    public void sync(@Nullable Gate backing) throws BlockException {
        lock.lock();
        try {
            checkWhole();
            boolean written = false;
            long next = 0;
            do {
                Taken taken = take(next);
                if (dropping && backing != null) {
                    backing.flush();
                }
                data.flush();
                taken.write();
                written |= taken.count > 0;
                next = taken.next;
            } while (next < changed.size());
            if (written) {
                map.flush();
            }
        } finally {
            lock.unlock();
        }
    }

    /// Takes the sectors that changed, from one on, up to [#ROUND_SECTORS] of them.
    private Taken take(long first) {
        Taken taken = new Taken(Math.min(ROUND_SECTORS, changed.count()));
        long at = changed.nextSet(first);
        for (;
                at < changed.size() && taken.count < taken.numbers.length;
                at = changed.nextSet(at)) {
            changed.clear(at);
            taken.add(at);
        }
        taken.next = at;
        return taken;
    }

    /// Sectors as they were at one moment.
    private final class Taken {
        private final long[] numbers;
        private final ByteBuffer bytes;
        private int count;
        private long next;

        Taken(long most) {
            numbers = new long[(int) most];
            bytes = ByteBuffer.allocate(numbers.length * MapSector.BYTES);
            bytes.order(ByteOrder.LITTLE_ENDIAN);
        }

        void add(long number) {
            numbers[count++] = number;
            MapSector.encode(bytes, header.generation(), number, held);
        }

        void write() throws BlockException {
            for (int at = 0; at < count; ) {
                int end = at + 1;
                while (end < count && numbers[end] == numbers[end - 1] + 1) {
                    end++;
                }
                int from = at * MapSector.BYTES;
                map.write(
                        offset(numbers[at]),
                        bytes.slice(from, end * MapSector.BYTES - from),
                        WriteFlag.NONE);
                at = end;
            }
        }
    }

    @Override
    public void empty() throws BlockException {
        empty(header.name());
    }

    /// Holds nothing any more, under another name. One write, however much is held. Whoever has an
    /// overlay over this store makes that empty first.
    public void empty(MapHeader.Name name) throws BlockException {
        lock.lock();
        try {
            checkWhole();
            store(header.emptied(name));
            held.clear();
            kept.clear();
            changed.clear();
            dropping = false;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void nameBacking(String file, String format) throws BlockException {
        lock.lock();
        try {
            checkWhole();
            store(header.above(file, format));
        } finally {
            lock.unlock();
        }
    }

    private void store(MapHeader next) throws BlockException {
        broken = new BlockException(Kind.IO, map.description() + ": the map's header is unknown");
        map.write(next.slotOffset(), next.encode(), WriteFlag.NONE);
        map.flush();
        broken = null;
        header = next;
    }

    private void checkWhole() throws BlockException {
        if (broken != null) {
            throw broken;
        }
    }

    @Override
    public void close() {}
}
