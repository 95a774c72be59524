package dev.lockstep.block.qcow2.table;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.format.HostFile;
import dev.lockstep.block.qcow2.layout.Feature;
import dev.lockstep.block.qcow2.layout.Geometry;
import dev.lockstep.block.qcow2.layout.Header;

import org.jspecify.annotations.Nullable;

import java.util.Set;

/// All metadata of an open image. A request [#enter]s, looks up, reads or writes, changes mappings,
/// and leaves; a flush is a [#commit].
public final class Tables {
    private final HostFile file;
    private final @Nullable HostFile dataFile;
    private final Geometry geometry;
    private final ImageHeader header;
    private final Refcounts refcounts;
    private final Mappings mappings;
    private final MetadataPlaces places = new MetadataPlaces();
    private final Epochs epochs = new Epochs();
    private final FreeSpace space;
    private final Commit commit;

    /// Changes while no request is in flight.
    private long bytesKept;

    /// How an image's metadata is treated.
    ///
    /// @param l2CacheBytes how much of the L2 tables is kept in memory
    /// @param l2SliceBytes how much of one is read at once
    /// @param refcountCacheBytes how much of the refcount blocks is kept in memory
    /// @param lazyRefcounts refcounts are written when the image is closed, under the dirty bit
    /// @param discarded why clusters become free that are discarded in the file
    public record Settings(
            long l2CacheBytes,
            int l2SliceBytes,
            long refcountCacheBytes,
            boolean lazyRefcounts,
            Set<Freed> discarded) {}

    /// Reads the tables of the image, whose header is known and found right.
    ///
    /// @param l1 the L1 table: the active one, or that of a snapshot
    /// @param dataFile the external data file, or null
    public Tables(
            HostFile file, Header header, long[] l1, @Nullable HostFile dataFile, Settings settings)
            throws BlockException {
        this.file = file;
        this.dataFile = dataFile;
        geometry = header.geometry();
        bytesKept = file.size();
        this.header = new ImageHeader(file, header, settings.lazyRefcounts());
        refcounts =
                new Refcounts(
                        file,
                        geometry,
                        places,
                        header.refcountTableOffset(),
                        header.refcountTableClusters(),
                        (int) (settings.refcountCacheBytes() >>> header.clusterBits()));
        mappings =
                new Mappings(
                        file,
                        geometry,
                        places,
                        header.has(Feature.EXTERNAL_DATA),
                        l1,
                        settings.l2CacheBytes(),
                        settings.l2SliceBytes());
        space = new FreeSpace(file, geometry, refcounts, settings.discarded());
        commit =
                new Commit(
                        geometry,
                        file,
                        this.header,
                        refcounts,
                        mappings,
                        places,
                        epochs,
                        dataFile,
                        space);
        guard();
    }

    /// The file of the image.
    public HostFile file() {
        return file;
    }

    /// The external data file, if there is one.
    public @Nullable HostFile dataFile() {
        return dataFile;
    }

    /// The arithmetic of the image.
    public Geometry geometry() {
        return geometry;
    }

    /// The header.
    public ImageHeader header() {
        return header;
    }

    /// What guest clusters map to.
    public Mappings mappings() {
        return mappings;
    }

    /// How often host clusters are referenced.
    public Refcounts refcounts() {
        return refcounts;
    }

    /// Counts a request in, until it leaves what is answered.
    public Epochs.Epoch enter() {
        return epochs.enter();
    }

    /// Lets a request change something: has changes written if there are more than should wait.
    /// Called by requests that have not entered yet.
    ///
    /// @throws BlockException if the image was found to be damaged, which it is marked with: it is
    ///     not written to any more
    public void beforeChange() throws BlockException {
        String damage = file.damage();
        if (damage != null) {
            if (header.current().version() >= 3) {
                header.mark(Feature.CORRUPT, true);
            }
            throw file.corrupt(damage);
        }
        if (mappings.isFull() || refcounts.isFull()) {
            commit();
        }
    }

    /// Drops from memory what was not used since this was last called.
    public void dropUnused() {
        mappings.dropUnused();
        refcounts.dropUnused();
    }

    /// Returns when everything that was changed, and all data that was written before, is on stable
    /// storage. Those who wait at the same time share the work.
    public void commit() throws BlockException {
        commit.run();
    }

    /// Allocates clusters, one after the other, for something that no mapping refers to. Until the
    /// next commit they are free again after a crash.
    ///
    /// @return where they begin in the file
    public long allocate(long clusters) throws BlockException {
        header.beforeChanges();
        return refcounts.allocateTable(clusters).cluster() << geometry.clusterBits();
    }

    /// Takes a reference from each cluster. Nobody can reach them through that any more, nor after
    /// a crash; and no request is in flight that began when somebody could.
    public void free(HostRange range, Freed why) throws BlockException {
        space.free(range, why);
    }

    /// Writes everything, also what lazy refcounts leave for later, and takes the dirty mark away.
    /// No request is in flight.
    public void settle() throws BlockException {
        commitAll();
        header.mark(Feature.DIRTY, false);
    }

    /// One commit moves a table and thereby unmaps its old place, the next one takes the reference
    /// to that away, and the last one writes so.
    private void commitAll() throws BlockException {
        commit();
        commit();
        commit.finish();
    }

    /// Says where the tables are; after the header has told of other places.
    public void guard() {
        places.fixed(header.tables());
        mappings.guardTables();
    }

    /// Cuts off what nobody uses at the end of the file, if its length can change. No request is in
    /// flight.
    public void cut() throws BlockException {
        commitAll();
        long end = refcounts.lookForEnd();
        if (file.size() > end && file.cut(end)) {
            refcounts.neverUsedFrom(end);
            bytesKept = end;
        }
    }

    /// Writes everything, and leaves the file no longer than it has to be. No request is in flight.
    public void close() throws BlockException {
        commitAll();
        long end = Math.max(bytesKept, refcounts.usedBytes());
        if (file.size() > end) {
            file.gate().resize(end);
        }
    }
}
